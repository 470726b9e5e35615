import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readBacklog, type TimedBlock } from "../../src/audit/backlog.ts";
import { buildBlock, joinAppends } from "../../src/audit/block.ts";
import { type ChainHead, chainStart } from "../../src/audit/chain.ts";
import {
	encodeAppend,
	firstRecordId,
	splitAppend,
	timeOf,
	timeOfHead,
} from "../../src/audit/record.ts";
import type { RecordQuery } from "../../src/audit/source.ts";
import { unfiltered } from "../../src/audit/source.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import * as limits from "../../src/limits.ts";

const chain = { id: uuidv7(() => 1, systemRandom), tenant: "t", region: "enam", shard: 0 };
const query: RecordQuery = {
	tenant: "t",
	...unfiltered,
	before: null,
	limit: 3,
};

function appendAt(time: number) {
	const id = firstRecordId(uuidv7(() => time, systemRandom));
	const target = { id: null, name: "", version: 0, algorithm: "" };
	const head = {
		id,
		requestId: id,
		tenant: "t",
		tokenId: null,
		action: "sign",
		target,
		address: "",
	};
	const item = { number: 0, inputKind: null, input: null, signature: null, cost: 0, outcome: "ok" };
	return encodeAppend(head, [item]);
}

/** A chain of blocks whose records were made at these times, as an object reads them for a query. */
function backlogOf(times: readonly (readonly number[])[]) {
	const heads = new Map<number, ChainHead>();
	let head = chainStart(chain);
	const blocks = times.map((own): TimedBlock => {
		const block = buildBlock(head, joinAppends(own.map(appendAt)));
		heads.set(block.sequence, head);
		head = { sequence: head.sequence + block.count, link: block.link };
		return { ...block, lastAt: Math.max(...own) };
	});
	blocks.sort((a, b) => b.lastAt - a.lastAt);
	const headBefore = (sequence: number) => heads.get(sequence) ?? head;
	return (asked: RecordQuery) => readBacklog(blocks, asked, chain.id, headBefore);
}

function pagesOf(read: ReturnType<typeof backlogOf>, limit: number) {
	const found: { id: string; sequence: number }[] = [];
	for (let before: string | null = null; ; ) {
		const { records, reached } = read({ ...query, limit, before });
		found.push(...records.map(({ record: { id }, sequence }) => ({ id, sequence })));
		if (reached === null) return found;
		before = reached;
	}
}

describe("the records that an object still has", () => {
	it("come in the order of their ids, however late they came", () => {
		const blocks = fc.array(
			fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 }),
			{
				maxLength: 8,
			},
		);
		fc.assert(
			fc.property(blocks, fc.integer({ min: 1, max: 6 }), (times, limit) => {
				const read = backlogOf(times);
				const found = pagesOf(read, limit);
				const ids = found.map(({ id }) => id);
				expect(ids).toEqual([...new Set(ids)].sort().reverse());
				expect(ids.map((id) => timeOf({ id }))).toEqual(times.flat().sort((a, b) => b - a));
				const numbers = found.map(({ sequence }) => sequence).sort((a, b) => a - b);
				expect(numbers).toEqual(numbers.map((_, index) => index + 1));
			}),
			{ numRuns: 200 },
		);
	});

	it("are looked through in parts, where nothing is found", () => {
		const heads = chainStart(chain);
		const blocks = [9, 8, 7].map((time): TimedBlock => {
			const block = buildBlock(heads, joinAppends([appendAt(time)]));
			return { ...block, count: limits.auditScanRecords, lastAt: time };
		});
		const read = (before: string | null) => {
			const times = before === null ? Number.POSITIVE_INFINITY : timeOf({ id: before });
			const left = blocks.filter(({ lastAt }) => lastAt <= times);
			return readBacklog(left, { ...query, action: "none", before }, chain.id, () => heads);
		};
		const first = read(null);
		expect(first.records).toEqual([]);
		expect(timeOf({ id: first.reached ?? "" })).toBe(9);
		let rounds = 0;
		for (let before = first.reached; before !== null; before = read(before).reached) {
			rounds++;
			expect(rounds).toBeLessThan(5);
		}
	});

	it("are as old as their append says", () => {
		const [record] = splitAppend(appendAt(2 ** 47 + 12_345));
		expect(record && timeOfHead(record.head)).toBe(2 ** 47 + 12_345);
	});
});
