import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { buildBlock, joinAppends, readBlock } from "../../src/audit/block.ts";
import { chainStart, leafOf, linked } from "../../src/audit/chain.ts";
import {
	decodeRecord,
	encodeAppend,
	firstRecordId,
	idOfHead,
	type RecordHead,
	type RecordItem,
	splitAppend,
	timeOf,
} from "../../src/audit/record.ts";
import { concat, fromHex, toHex, utf8 } from "../../src/lib/bytes.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidText, uuidv7 } from "../../src/lib/uuid.ts";
import * as limits from "../../src/limits.ts";

async function sha256(...parts: readonly Uint8Array[]): Promise<Uint8Array<ArrayBuffer>> {
	return new Uint8Array(await crypto.subtle.digest("SHA-256", concat(...parts)));
}

const head: RecordHead = {
	id: "019aa000-1234-7000-8abc-0123456789ab",
	requestId: "019aa000-1200-7def-9abc-ba9876543210",
	tenant: "main",
	tokenId: "01900000-0000-7000-8000-000000000001",
	action: "signBatch",
	target: {
		id: "01900000-0000-7000-8000-00000000000a",
		name: "Zahlung-é",
		version: 3,
		algorithm: "ES256",
	},
	address: "2001:db8::1",
};
const chain = {
	id: "019aa000-0000-7000-8000-000000000000",
	tenant: "main",
	region: "weur",
	shard: 2,
};
const signature = Uint8Array.from({ length: 64 }, (_, index) => index);

async function items(): Promise<RecordItem[]> {
	const common = { cost: 100, outcome: "ok" };
	return [
		{
			...common,
			number: 0,
			inputKind: "message",
			input: await sha256(utf8("hello")),
			signature: await sha256(signature),
		},
		{
			...common,
			number: 2,
			inputKind: "digest",
			input: await sha256(new Uint8Array(32)),
			signature: await sha256(signature.toReversed()),
		},
	];
}

/** Made by another program from docs/storage.md alone. */
const vector = {
	append:
		"007601019aa000123470008abc0123456789ab019aa00012007def9abcba9876543210019000000000700080000000000000010190000000007000800000000000000a0000000300046d61696e00097369676e4261746368000a5a61686c756e672dc3a900054553323536000b323030313a6462383a3a310000012cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824fdeab9acf3710362bd2658cdc9a29e8f9c757fcf9811603a8c447cd1d91511080000006400026f6b00020266687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f29250799ef76f19eb9d1b652c25705f4d980254f9bd25f7a89e17b31b5772bf532060000006400026f6b",
	start: "cab66d3b1c4373e67a882b46b7d2c327d78988316fabc40050e2a422a20671c6",
	leaves: [
		"7ab8432b2b9e7a578c1db8cae5da343893853e2e13cc9a2a7070be8e66c83234",
		"328ba27eebe1e3a30a0ee4fb8263179d9c817c8414bb47744ab540c308e4ee18",
	],
	links: [
		"fe337abb2e6e3e7eaa524b98a219134ce1edbb93f0bf5f7ec839c585905020ed",
		"a070db6e82345b91c9c5c3fc5dff2a38b46865f8b1ca3fc91819f755a71afb25",
	],
};

describe("the vector of an append", () => {
	it("has the bytes, leaves and links that docs/storage.md describes", async () => {
		const append = encodeAppend(head, await items());
		expect(toHex(append)).toBe(vector.append);
		const start = chainStart(chain);
		expect([start.sequence, toHex(start.link)]).toEqual([0, vector.start]);
		const leaves = splitAppend(append).map(leafOf);
		expect(leaves.map(toHex)).toEqual(vector.leaves);
		let last = start;
		const links = leaves.map((leaf) => {
			last = linked(last, leaf);
			return toHex(last.link);
		});
		expect(links).toEqual(vector.links);
		expect(last.sequence).toBe(2);
	});

	it("is read as what was written, with each record's number in its id", async () => {
		const written = await items();
		const append = fromHex(vector.append);
		const records = splitAppend(append);
		expect(records.map(({ head }) => toHex(idOfHead(head)))).toEqual(
			Array(2).fill("019aa000123470008abc0123456789ab"),
		);
		expect(splitAppend(append).map(decodeRecord)).toEqual([
			{ ...head, ...written[0] },
			{ ...head, ...written[1], id: "019aa000-1234-7002-8abc-0123456789ab" },
		]);
	});
});

const uuid = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => {
	bytes[15] = (bytes[15] ?? 0) | 1; // all zeros are none
	return uuidText(bytes);
});
const text = fc.string({ unit: "grapheme", maxLength: 64 });
const digest = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => {
	bytes[0] = (bytes[0] ?? 0) | 1;
	return new Uint8Array(bytes);
});
const heads = fc.record({
	id: uuid.map(firstRecordId),
	requestId: uuid,
	tenant: text,
	tokenId: fc.option(uuid),
	action: text,
	target: fc.record({
		id: fc.option(uuid),
		name: text,
		version: fc.nat(0xffff_ffff),
		algorithm: text,
	}),
	address: text,
});
const item = fc.record({
	inputKind: fc.constantFrom(null, "message" as const, "digest" as const),
	input: fc.option(digest),
	signature: fc.option(digest),
	cost: fc.nat(0xffff_ffff),
	outcome: text,
});
const itemLists = fc
	.array(item, { minLength: 1, maxLength: 20 })
	.map((list) => list.map((one, number) => ({ ...one, number })));

describe("any append", () => {
	it("is read as what was written", () => {
		fc.assert(
			fc.property(heads, itemLists, (anyHead, anyItems) => {
				const records = splitAppend(encodeAppend(anyHead, anyItems)).map(decodeRecord);
				expect(records.map(({ id: _, ...rest }) => rest)).toEqual(
					anyItems.map((one) => {
						const { id: _, ...rest } = anyHead;
						return { ...rest, ...one };
					}),
				);
			}),
		);
	});

	it("keeps every character of a name, a byte order mark at its beginning too", async () => {
		const named = { ...head, target: { ...head.target, name: "\uFEFFci\u2028\uFEFF" } };
		const [encoded] = splitAppend(encodeAppend(named, await items()));
		expect(encoded && decodeRecord(encoded).target.name).toBe(named.target.name);
	});

	it("has records with ids of their own, all of one time and in their order", () => {
		fc.assert(
			fc.property(heads, itemLists, (anyHead, anyItems) => {
				const records = splitAppend(encodeAppend(anyHead, anyItems)).map(decodeRecord);
				const ids = records.map(({ id }) => id);
				expect(ids).toEqual([...new Set(ids)].sort());
				expect(new Set(records.map(timeOf))).toEqual(new Set([timeOf(anyHead)]));
			}),
		);
	});

	it("has a record's bytes however many others come with it", () => {
		fc.assert(
			fc.property(heads, itemLists, (anyHead, anyItems) => {
				const together = splitAppend(encodeAppend(anyHead, anyItems)).map(leafOf);
				const alone = anyItems.flatMap((one) =>
					splitAppend(encodeAppend(anyHead, [one])).map(leafOf),
				);
				expect(together).toEqual(alone);
			}),
		);
	});

	it("has another leaf when any one of its fields is another", async () => {
		const [first] = await items();
		const leaf = (changedHead: RecordHead, changedItem: RecordItem | undefined) =>
			splitAppend(encodeAppend(changedHead, changedItem ? [changedItem] : []))
				.map(leafOf)
				.map(toHex)
				.join();
		const { target } = head;
		const other = "01900000-0000-7000-8000-0000000000ff";
		const changedHeads: Partial<RecordHead>[] = [
			{ id: "019aa000-1235-7000-8abc-0123456789ab" },
			{ requestId: other },
			{ tenant: "mainx" },
			{ tokenId: null },
			{ action: "sign" },
			{ address: "" },
			{ target: { ...target, id: other } },
			{ target: { ...target, name: "ZahlungES256", algorithm: "" } },
			{ target: { ...target, version: 4 } },
		];
		const changedItems: Partial<RecordItem>[] = [
			{ number: 1 },
			{ inputKind: "digest" },
			{ input: null },
			{ signature: first?.input ?? null },
			{ cost: 101 },
			{ outcome: "invalid" },
		];
		const leaves = [
			leaf(head, first),
			...changedHeads.map((change) => leaf({ ...head, ...change }, first)),
			...changedItems.map((change) => leaf(head, first && { ...first, ...change })),
		];
		expect(new Set(leaves).size).toBe(1 + changedHeads.length + changedItems.length);
	});

	it("can not have more records than an id has numbers", () => {
		const id = uuidv7(() => 1_700_000_000_000, systemRandom);
		expect(timeOf({ id: firstRecordId(id) })).toBe(1_700_000_000_000);
		const one = { inputKind: null, input: null, signature: null, cost: 0, outcome: "ok" };
		const last = encodeAppend(head, [{ ...one, number: limits.recordsPerAppend - 1 }]);
		expect(splitAppend(last).map(decodeRecord)[0]?.id).toBe("019aa000-1234-7fff-8abc-0123456789ab");
		const beyond = encodeAppend(head, [{ ...one, number: limits.recordsPerAppend }]);
		expect(() => splitAppend(beyond).map(decodeRecord)).toThrow(RangeError);
		expect(limits.batchItems).toBeLessThanOrEqual(limits.recordsPerAppend);
	});

	it("that was cut off is refused", async () => {
		const append = encodeAppend(head, await items());
		for (const length of [1, 100, append.length - 1]) {
			expect(() => splitAppend(append.subarray(0, length))).toThrow(RangeError);
		}
	});
});

describe("a block", () => {
	it("gives its records back in their places of the chain", () => {
		fc.assert(
			fc.property(heads, fc.array(itemLists, { minLength: 1, maxLength: 5 }), (anyHead, lists) => {
				const start = chainStart(chain);
				const appends = lists.map((list) => encodeAppend(anyHead, list));
				const block = buildBlock(start, joinAppends(appends));
				const records = readBlock(start, block);
				expect(records.map(({ sequence }) => sequence)).toEqual(
					lists.flat().map((_, index) => index + 1),
				);
				expect(records.at(-1)?.link).toEqual(block.link);
				expect(readBlock(start, block, block.links)).toEqual(records);
				expect(() => readBlock(start, block, block.links.subarray(32))).toThrow("does not follow");
				const next = { sequence: block.count, link: block.link };
				const more = buildBlock(next, joinAppends(appends));
				expect(more.sequence).toBe(block.count + 1);
				expect(readBlock(next, more)).toHaveLength(block.count);
			}),
		);
	});

	it("is refused when it was changed, or stands in another place", async () => {
		const start = chainStart(chain);
		const block = buildBlock(start, joinAppends([encodeAppend(head, await items())]));
		const changed = block.bytes.slice();
		changed[40] = (changed[40] ?? 0) ^ 1;
		const other = chainStart({ ...chain, shard: 3 });
		expect(() => readBlock(start, { ...block, bytes: changed })).toThrow("does not follow");
		expect(() => readBlock(other, block)).toThrow("does not follow");
		expect(() => readBlock({ ...start, sequence: 1 }, block)).toThrow("does not follow");
		expect(() => readBlock(start, { ...block, count: 3 })).toThrow("does not follow");
	});
});

describe("the start of a chain", () => {
	it("is another one for every part of its name", () => {
		const names = [
			chain,
			{ ...chain, id: "019aa000-0000-7000-8000-000000000001" },
			{ ...chain, tenant: "mainweur", region: "" },
			{ ...chain, region: "eeur" },
			{ ...chain, shard: 1 },
		];
		expect(new Set(names.map((name) => toHex(chainStart(name).link))).size).toBe(names.length);
	});
});
