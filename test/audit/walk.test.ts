import { describe, expect, it } from "vitest";
import { chainStart, linked } from "../../src/audit/chain.ts";
import { type Checkpoint, checkpointOf } from "../../src/audit/checkpoint.ts";
import { DeletedNumbers } from "../../src/audit/deleted-numbers.ts";
import { decodeRecord, splitAppend } from "../../src/audit/record.ts";
import { ChainWalk, type Finding } from "../../src/audit/walk.ts";
import { toHex } from "../../src/lib/bytes.ts";
import * as limits from "../../src/limits.ts";
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

describe("the walk behind deleted days", () => {
	const at = Date.parse("2026-11-30T12:00:00Z");
	const head = { ...checkpoint(100).chains[0], id, link: linkAt(100) };
	const heads = { heads: [head as never], ended: [], unknown: [] };
	const now = checkpointOf("main", heads, at);
	const before = new Date(at - limits.auditDeletedBeforeMs).toISOString();
	const forged = new Uint8Array(32).fill(7);
	const all = countdown(100, 1);
	type Numbers = readonly (readonly [number, number])[];

	/** A day that had these numbers, with the member or without it. */
	function day(numbers: Numbers, isTold = true) {
		const [low, high] = [numbers.at(0)?.[0] ?? 0, numbers.at(-1)?.[1] ?? 0];
		const end = (sequence: number) => ({ sequence, link: toHex(linkAt(sequence)) });
		const records = numbers.reduce((sum, [from, to]) => sum + to - from + 1, 0);
		const span = { chain: id, records, first: end(low), last: end(high) };
		return isTold ? { ...span, numbers } : span;
	}

	/** Whether a number is of none of these days. */
	const isLeft =
		(...days: readonly Numbers[]) =>
		(sequence: number) =>
			!days.flat().some(([from, to]) => from <= sequence && sequence <= to);

	const tell = (walk: ChainWalk, isWhole = true) =>
		walk.done(isWhole).map(({ kind, line, message }) => ({ kind, line, message }));
	const place = (sequence: number) => `${record.id}, number ${sequence} of the chain ${id}`;
	const theirs = "a deleted day had another record there";

	const early: Numbers = [[1, 43]];
	const torn: Numbers = [
		[44, 44],
		[50, 60],
	];

	it("finds nothing where exactly their numbers are not there, told in either way", () => {
		for (const told of [true, false]) {
			const walk = new ChainWalk(now, null);
			const add = walking(walk);
			for (const sequence of all.filter(isLeft(early, torn))) expect(add(sequence)).toEqual([]);
			walk.expire([day(early, told)], before);
			walk.expire([day(torn, told)], null);
			expect(tell(walk)).toEqual([]);
		}
	});

	it.each([true, false])(
		"names a record at one of their numbers, the export being whole: %s",
		(isWhole) => {
			const walk = new ChainWalk(now, null);
			const add = walking(walk);
			for (const sequence of all.filter(isLeft(early))) add(sequence);
			expect([add(5, forged), add(43, forged)].flat()).toHaveLength(1); // which number 44 is not linked to
			walk.expire([day(early)], before);
			expect(tell(walk, isWhole)).toEqual([
				{ kind: "added", line: 59, message: `${place(5)}: ${theirs}` },
				{ kind: "added", line: 60, message: `${place(43)}: ${theirs}` },
			]);
		},
	);

	it("names those that stand beside each other together, and by number what stands behind others", () => {
		const walk = new ChainWalk(now, null);
		const add = walking(walk);
		for (const sequence of all.filter(isLeft(torn))) add(sequence);
		for (const sequence of [44, 57, 56]) expect(add(sequence)).toEqual([]);
		walk.expire([day(torn)], before);
		expect(tell(walk)).toEqual([
			{ kind: "added", line: null, message: `number 44 of the chain ${id}: ${theirs}` },
			{
				kind: "added",
				line: 92,
				message: `${place(56)}, and what follows it up to number 57: ${theirs}`,
			},
		]);
	});

	it("names it where they are told to have been all from the first to the last, as before", () => {
		const walk = new ChainWalk(now, null);
		const add = walking(walk);
		for (const sequence of [...all.filter(isLeft(early)), 5])
			add(sequence, sequence === 5 ? forged : undefined);
		walk.expire([day(early, false)], before);
		expect(tell(walk, false)).toMatchObject([{ kind: "added", message: `${place(5)}: ${theirs}` }]);
	});

	it("counts records that are too many where their numbers are not told", () => {
		const walk = new ChainWalk(now, null);
		const add = walking(walk);
		for (const sequence of all.filter(isLeft(torn))) add(sequence);
		add(50, forged);
		walk.expire([day(torn, false)], before);
		const message = `1 record too many among numbers 44 to 60 of the chain ${id}, of deleted days`;
		expect(tell(walk)).toEqual([{ kind: "added", line: null, message }]);
	});

	it("counts them by statements of before it was told when they were deleted, and says what that may be", () => {
		const walk = new ChainWalk(now, null);
		const add = walking(walk);
		for (const sequence of all.filter(isLeft(early))) add(sequence);
		for (const sequence of [5, 9]) add(sequence, forged);
		walk.expire([day(early, false)]);
		const who = `2 records too many among numbers 1 to 43 of the chain ${id}, of deleted days`;
		const message = `${who}, unless a day was deleted while the export was made`;
		expect(tell(walk)).toEqual([{ kind: "added", line: null, message }]);
		expect(tell(walk, false)).toEqual([]);
	});

	it("names a swap: the record that is missing, and the one that stands elsewhere for it", () => {
		const walk = new ChainWalk(now, null);
		const add = walking(walk);
		for (const sequence of all.filter(isLeft(torn))) if (sequence !== 47) add(sequence);
		add(55, forged);
		walk.expire([day(torn)], before);
		expect(tell(walk)).toEqual([
			{ kind: "missing", line: null, message: `number 47 of the chain ${id}` },
			{ kind: "added", line: 89, message: `${place(55)}: ${theirs}` },
		]);
	});

	it("finds nothing in records of a day that was deleted when the export had begun, and what is missing", () => {
		for (const told of [true, false]) {
			const walk = new ChainWalk(now, null);
			const add = walking(walk);
			for (const sequence of all.filter(isLeft([[1, 20]]))) add(sequence);
			walk.expire([day(early, told)], "2026-11-30T11:59:59.001Z");
			expect(tell(walk)).toEqual([]);
			const torn = new ChainWalk(now, null);
			const addToTorn = walking(torn);
			for (const sequence of all.filter(
				isLeft([
					[1, 20],
					[70, 70],
				]),
			))
				addToTorn(sequence);
			torn.expire([day(early, told)], "2026-11-30T12:00:01.000Z");
			expect(tell(torn)).toMatchObject([
				{ kind: "missing", message: `number 70 of the chain ${id}` },
			]);
		}
	});

	it("takes days that overlap together, whether their numbers are told of both or of one", () => {
		const other: Numbers = [
			[40, 43],
			[45, 49],
		];
		const mine: Numbers = [
			[1, 39],
			[44, 44],
		];
		for (const [a, b] of [
			[true, true],
			[true, false],
			[false, true],
			[false, false],
		]) {
			const walk = new ChainWalk(now, null);
			const add = walking(walk);
			for (const sequence of all.filter(isLeft(mine, other))) add(sequence);
			walk.expire([day(mine, a)], before);
			walk.expire([day(other, b)], before);
			expect(tell(walk)).toEqual([]);
			add(44, forged);
			expect(tell(walk)).toMatchObject([{ kind: "added" }]);
		}
	});

	it("names what two deleted days had at the same place", () => {
		const walk = new ChainWalk(now, null);
		const add = walking(walk);
		for (const sequence of all.filter(isLeft(early))) add(sequence);
		walk.expire([day(early)], before);
		walk.expire([day([[7, 8]])], before);
		const message = `2 records too many among numbers 1 to 43 of the chain ${id}, of deleted days`;
		expect(tell(walk)).toEqual([{ kind: "added", line: null, message }]);
	});

	it("names what a day counts fewer records for than it has numbers", () => {
		const walk = new ChainWalk(now, null);
		const add = walking(walk);
		for (const sequence of all.filter(isLeft(early))) add(sequence);
		walk.expire([{ ...day(early), records: 42 }], before);
		expect(tell(walk)).toMatchObject([
			{ kind: "missing", message: expect.stringMatching(/^1 of/) },
		]);
	});

	it("knows up to where a chain went that has ended, by the last of its deleted days", () => {
		const lost = checkpointOf("main", { heads: [], ended: [id], unknown: [] }, at);
		for (const [told, what] of [
			[true, "numbers 45 to 49"],
			[false, "5 of the numbers of deleted days"],
		] as const) {
			const walk = new ChainWalk(lost, null);
			walk.expire([day(torn, told), day(early, told)], before);
			const message = `${what} of the chain ${id}`;
			expect(tell(walk)).toEqual([{ kind: "missing", line: null, message }]);
		}
	});

	it("keeps the lowest records of a part in memory, so that they are named however many came since", () => {
		const much = checkpointOf(
			"main",
			{ heads: [{ ...head, sequence: 20_000 } as never], ended: [], unknown: [] },
			at,
		);
		const walk = new ChainWalk(much, null);
		const add = walking(walk, 40);
		const places = [3, 9, 30, 12];
		for (const sequence of places) add(sequence, forged);
		for (const sequence of countdown(20_000, 100, 2)) add(sequence, forged);
		expect(walk.kept).toBeLessThanOrEqual(40);
		walk.expire([day(early)], before);
		const messages = places
			.sort((a, b) => a - b)
			.map((sequence) => `${place(sequence)}: ${theirs}`);
		expect(tell(walk, false).map(({ message }) => message)).toEqual(messages);
	});

	it("counts where it has let go of what it would name", () => {
		const walk = new ChainWalk(now, null);
		const add = walking(walk, 4);
		for (const sequence of all.filter(isLeft(torn)).reverse()) add(sequence, forged);
		for (const sequence of [52, 54, 56, 58]) add(sequence, forged);
		walk.expire([day(torn, false)], before);
		const found = tell(walk);
		expect(found).toMatchObject([
			{ kind: "added", message: expect.stringMatching(/^4 records too/) },
		]);
	});
});

describe("numbers of deleted days", () => {
	const end = (sequence: number) => ({ sequence, link: "" });
	const span = (first: number, last: number, numbers: readonly (readonly [number, number])[]) => ({
		...{ chain: id, records: 2, first: end(first), last: end(last) },
		numbers,
	});

	it("are kept in bounded memory, and beyond that how many they were", () => {
		const deleted = new DeletedNumbers(2);
		deleted.add(
			span(1, 3, [
				[1, 1],
				[3, 3],
			]),
			true,
		);
		deleted.add(
			span(5, 7, [
				[5, 5],
				[7, 7],
			]),
			true,
		);
		expect(deleted.of(id)).toMatchObject({
			...{
				gone: [
					[1, 1],
					[3, 3],
				],
				vague: [{ low: 5, high: 7 }],
				records: 4,
			},
		});
	});

	it("join from day to day", () => {
		const deleted = new DeletedNumbers(3);
		for (const first of countdown(99, 1, 2))
			deleted.add(span(first, first + 1, [[first, first + 1]]), true);
		expect(deleted.of(id)).toMatchObject({ gone: [[1, 100]], vague: [] });
	});
});
