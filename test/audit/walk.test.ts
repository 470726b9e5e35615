import { describe, expect, it } from "vitest";
import { chainStart, linked } from "../../src/audit/chain.ts";
import { type Checkpoint, checkpointOf } from "../../src/audit/checkpoint.ts";
import { decodeRecord, splitAppend } from "../../src/audit/record.ts";
import { ChainWalk, type Finding } from "../../src/audit/walk.ts";
import { toHex } from "../../src/lib/bytes.ts";
import { newAppend, placeOfTests } from "./support.ts";

const other = "01900000-0000-7000-8000-0000000000fe";
const id = "019aa000-0000-7000-8000-000000000000";

/** A checkpoint with one chain that ends at this number, with this byte all over its link. */
function checkpoint(sequence: number, byte = 1, tenant = "main"): Checkpoint {
	const head = {
		id,
		tenant,
		region: "weur",
		shard: 0,
		sequence,
		link: new Uint8Array(32).fill(byte),
	};
	return checkpointOf(tenant, { heads: [head], ended: [], unknown: [] }, 0);
}

const ended = checkpointOf("main", { heads: [], ended: [id], unknown: [] }, 0);
const none = checkpointOf("main", { heads: [], ended: [], unknown: [] }, 0);

const [bytes] = splitAppend(newAppend(placeOfTests("main")));
if (!bytes) throw new Error("an append without a record");
const record = decodeRecord(bytes);
const leaf = new Uint8Array(32).fill(9);
/** The link at each number of the chain, all of whose records have the same leaf. */
const links = [chainStart({ id, tenant: "main", region: "weur", shard: 0 })];
while (links.length <= 100) links.push(linked(links.at(-1) as (typeof links)[0], leaf));
const linkAt = (sequence: number) => links[sequence]?.link ?? new Uint8Array(32);

/** A walk over records of the chain, the line of each of which goes on from the one before. */
function walking(walk: ChainWalk, max = Number.POSITIVE_INFINITY) {
	let line = 1;
	return (sequence: number, link = linkAt(sequence), chain = id): Finding[] => {
		const findings = walk.add({ record, chain, sequence, link }, leaf, ++line);
		walk.trim(max);
		return findings;
	};
}

function countdown(from: number, to: number, step = 1): number[] {
	return Array.from({ length: Math.floor((from - to) / step) + 1 }, (_, at) => from - at * step);
}

describe("a checkpoint behind one that was kept, whatever the filter", () => {
	const findings = (now: Checkpoint, kept: Checkpoint) => new ChainWalk(now, kept).done(false);

	it("is sound where its chains go on, or end at the same record", () => {
		expect(findings(checkpoint(8, 2), checkpoint(7))).toEqual([]);
		expect(findings(checkpoint(7), checkpoint(7))).toEqual([]);
	});

	it("may say that a chain has ended, with its object", () => {
		expect(findings(ended, checkpoint(7))).toEqual([]);
	});

	it("vouches for a chain that only Postgres knows since, and for no other one", () => {
		const lost = checkpointOf("main", { heads: [], ended: [], unknown: [id, other] }, 0);
		expect(findings(lost, checkpoint(7))).toMatchObject([
			{ kind: "added", message: expect.stringContaining(other) },
		]);
		expect(new ChainWalk(lost, null).done(true)).toHaveLength(2);
		const message = `numbers 1 to 7 of the chain ${id}`;
		expect(new ChainWalk(lost, checkpoint(7)).done(true)).toMatchObject([
			{ kind: "added" },
			{ kind: "missing", message },
		]);
	});

	it("is not where a chain ends earlier, or is not there", () => {
		const message = `numbers 5 to 7 of the chain ${id}`;
		expect(findings(checkpoint(4), checkpoint(7))).toMatchObject([{ kind: "missing", message }]);
		expect(findings(none, checkpoint(1))).toMatchObject([{ kind: "missing" }]);
	});

	it("is not where a chain ends at another record with the same number", () => {
		expect(findings(checkpoint(7, 2), checkpoint(7))).toMatchObject([{ kind: "changed" }]);
	});

	it("is not of another tenant", () => {
		const other = checkpoint(7, 1, "other");
		expect(findings(other, checkpoint(7))).toMatchObject([{ kind: "forged" }]);
	});
});

it("a deleted day ends with the record that a kept checkpoint has there, or it is named", () => {
	const findings = (byte: string) => {
		const walk = new ChainWalk(checkpoint(7), checkpoint(5));
		const [first, last] = [1, 5].map((sequence) => ({ sequence, link: byte.repeat(32) }));
		if (first && last) walk.expire([{ chain: id, records: 5, first, last }]);
		return walk.done(false);
	};
	expect(findings("01")).toEqual([]);
	const message = expect.stringContaining("number 5 of the chain");
	expect(findings("02")).toMatchObject([{ kind: "changed", message }]);
});

describe("the records of a chain that has ended", () => {
	it("are missing from a whole export up to the checkpoint that was kept, and told once", () => {
		const message = `numbers 1 to 7 of the chain ${id}`;
		const found = new ChainWalk(ended, checkpoint(7)).done(true);
		expect(found).toMatchObject([{ kind: "missing", message }]);
	});

	it("are as many as they like, none a neighbour of another", () => {
		const [part, whole] = [new ChainWalk(ended, null), new ChainWalk(ended, null)];
		const [ofPart, ofWhole] = [walking(part), walking(whole)];
		for (const sequence of countdown(300_000, 2, 2)) {
			ofPart(sequence);
			ofWhole(sequence);
		}
		expect(part.done(false)).toEqual([]);
		const found = whole.done(true);
		expect(found).toHaveLength(150_000);
		expect(found.at(-1)).toMatchObject({
			kind: "missing",
			message: `number 299999 of the chain ${id}`,
		});
	});
});

describe("the walk", () => {
	const head = { ...checkpoint(100).chains[0], id, link: linkAt(100) };
	const whole = checkpointOf("main", { heads: [head as never], ended: [], unknown: [] }, 0);

	it("finds nothing in a chain whose records come in another order", () => {
		const walk = new ChainWalk(whole, null);
		const add = walking(walk);
		const order = [...countdown(100, 2, 2), ...countdown(99, 1, 2)];
		expect(order.flatMap((sequence) => add(sequence))).toEqual([]);
		expect(walk.kept).toBe(1);
		expect(walk.done(true)).toEqual([]);
	});

	it.each([50, 1, 100])("names a record whose number came before, at any place: %i", (sequence) => {
		const add = walking(new ChainWalk(whole, null));
		expect(countdown(100, 1).flatMap((number) => add(number))).toEqual([]);
		expect(add(sequence)).toMatchObject([{ kind: "added", line: 102 }]);
	});

	it("names a record behind the head of its chain, and one of a chain that the checkpoint has not", () => {
		const walk = new ChainWalk(whole, null);
		const add = walking(walk);
		expect(add(101)).toMatchObject([{ kind: "added", line: 2 }]);
		expect(add(1, linkAt(1), id.replace("0", "1"))).toMatchObject([{ kind: "added", line: 3 }]);
		expect(walk.chains).toBe(0);
	});

	it("names another record at the head, when it comes", () => {
		const add = walking(new ChainWalk(whole, null));
		expect(add(100, linkAt(99))).toMatchObject([{ kind: "changed", line: 2 }]);
	});
});

describe("the walk over a part", () => {
	it("keeps a bounded number of stretches, whatever the filter left out", () => {
		const walk = new ChainWalk(ended, null);
		const add = walking(walk, 1_000);
		let most = 0;
		for (const sequence of countdown(100_000, 2, 2)) {
			add(sequence);
			most = Math.max(most, walk.kept);
		}
		expect(most).toBe(1_000);
		expect(walk.dropped).toBe(50_000 - walk.kept);
		expect(walk.done(false)).toEqual([]);
	});

	it("checks neighbours that come soon after each other, however many came before", () => {
		const add = walking(new ChainWalk(checkpoint(101), null), 4);
		for (const sequence of countdown(100, 60, 2)) expect(add(sequence)).toEqual([]);
		expect(add(61, leaf)).toMatchObject([
			{ kind: "changed", line: 23 },
			{ kind: "changed", line: 22 - 1 },
		]);
	});

	it("does not check those that come late, which are far apart", () => {
		const add = walking(new ChainWalk(checkpoint(101), null), 4);
		for (const sequence of countdown(100, 60, 2)) expect(add(sequence)).toEqual([]);
		expect(add(99, leaf)).toEqual([]);
	});

	it("keeps the lowest of each chain, which a deleted day comes before", () => {
		const other = "019aa000-0000-7000-8000-000000000001";
		const both = { ...checkpoint(100), ended: [other] };
		const walk = new ChainWalk(both, null);
		const add = walking(walk, 4);
		for (const sequence of [40, 38]) add(sequence);
		for (const sequence of countdown(100, 2, 2)) add(sequence, linkAt(sequence), other);
		expect(walk.dropped).toBeGreaterThan(40);
		const end = (sequence: number, byte: number) => ({
			sequence,
			link: toHex(new Uint8Array(32).fill(byte)),
		});
		walk.expire([{ chain: id, records: 37, first: end(1, 1), last: end(37, 1) }]);
		expect(walk.done(false)).toMatchObject([{ kind: "changed", line: 3 }]);
	});
});

describe("the walk over a whole export that is known not to hold", () => {
	it("counts what is missing where it does not keep enough to name it", () => {
		const walk = new ChainWalk(checkpoint(101), null);
		const add = walking(walk, 4);
		for (const sequence of countdown(100, 2, 2)) add(sequence);
		const message = `51 numbers, in too many places to be named, of the chain ${id}`;
		expect(walk.done(true)).toMatchObject([{ kind: "missing", message }]);
	});
});
