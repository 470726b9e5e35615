import { describe, expect, it } from "vitest";
import { type Checkpoint, checkpointOf } from "../../src/audit/checkpoint.ts";
import { ChainWalk } from "../../src/audit/walk.ts";

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
	return checkpointOf(tenant, { heads: [head], ended: [] }, 0);
}

const ended = checkpointOf("main", { heads: [], ended: [id] }, 0);
const none = checkpointOf("main", { heads: [], ended: [] }, 0);

describe("a checkpoint behind one that was kept, whatever the filter", () => {
	const findings = (now: Checkpoint, kept: Checkpoint) => new ChainWalk(now, kept).done(false);

	it("is sound where its chains go on, or end at the same record", () => {
		expect(findings(checkpoint(8, 2), checkpoint(7))).toEqual([]);
		expect(findings(checkpoint(7), checkpoint(7))).toEqual([]);
	});

	it("may say that a chain has ended, with its object", () => {
		expect(findings(ended, checkpoint(7))).toEqual([]);
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

describe("the records of a chain that has ended", () => {
	it("are missing from a whole export up to the checkpoint that was kept, and told once", () => {
		const message = `numbers 1 to 7 of the chain ${id}`;
		const found = new ChainWalk(ended, checkpoint(7)).done(true);
		expect(found).toMatchObject([{ kind: "missing", message }]);
	});
});
