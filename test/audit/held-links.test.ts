import { describe, expect, it } from "vitest";
import { linkBytes, type NewBlock } from "../../src/audit/block.ts";
import { HeldLinks } from "../../src/audit/held-links.ts";
import * as limits from "../../src/limits.ts";

function blockOf(sequence: number, count: number): NewBlock {
	const none = new Uint8Array(0);
	return { sequence, count, link: none, bytes: none, links: new Uint8Array(linkBytes * count) };
}

describe("links that are held", () => {
	it("are of as many records as there is room for, and of others when those have moved", () => {
		const held = new HeldLinks();
		const half = limits.auditLinksHeld / 2;
		const blocks = [1, 1 + half, 1 + 2 * half].map((sequence) => blockOf(sequence, half));
		const [first, second, third] = blocks as [NewBlock, NewBlock, NewBlock];
		for (const block of blocks) held.hold(block);
		expect(blocks.map(({ sequence }) => held.of(sequence))).toEqual([
			first.links,
			second.links,
			undefined,
		]);
		held.drop(half);
		held.hold(third);
		held.hold(blockOf(third.sequence + half, 1));
		expect(blocks.map(({ sequence }) => held.of(sequence))).toEqual([
			undefined,
			second.links,
			third.links,
		]);
		expect(held.of(third.sequence + half)).toBeUndefined();
	});
});
