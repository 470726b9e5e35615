import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { proveArchived } from "../../src/audit/archive-proof.ts";
import { leafOf } from "../../src/audit/chain.ts";
import type { Manifest } from "../../src/audit/manifest.ts";
import { MerkleRoot, pathTo, rootBy } from "../../src/audit/merkle.ts";
import { canonicalRecord } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import type { SourcedRecord } from "../../src/audit/source.ts";
import { fromBase64, toHex } from "../../src/lib/bytes.ts";
import { call, newTenant, type Tenant } from "../support/tenant.ts";
import { archiveAll, dropDays, fill, newDay, services, small } from "./archive-support.ts";

let tenant: Tenant;
let records: SourcedRecord[];
let reader: Awaited<ReturnType<typeof createStatementReader>>;

/** A day of four files: three of sixteen records and one of five. */
beforeAll(async () => {
	tenant = await newTenant();
	const of = { tenant: tenant.id, day: await newDay(1998) };
	records = await fill(of, 53);
	await archiveAll({ ...small, fileRecords: 16 });
	const { keys } = (await call("GET", "/.well-known/audit-jwks.json")).json;
	reader = await createStatementReader(keys);
}, 60_000);
afterAll(dropDays);

const hash = (byte: number) => new Uint8Array(32).fill(byte);

describe("a path in a Merkle tree", () => {
	it("leads from each leaf to the root, and from no other one", () => {
		for (let size = 1; size <= 20; size++) {
			const leaves = Array.from({ length: size }, (_, index) => hash(index));
			const tree = new MerkleRoot();
			for (const leaf of leaves) tree.add(leaf);
			const root = tree.root();
			for (const [index, leaf] of leaves.entries()) {
				const path = pathTo(leaves, index);
				expect(rootBy(leaf, index, size, path)).toEqual(root);
				expect(rootBy(hash(99), index, size, path)).not.toEqual(root);
				expect(rootBy(leaf, index, size, [...path, hash(1)])).toBeNull();
				expect(rootBy(leaf, size, size, path)).toBeNull();
			}
		}
	});
});

describe("the proof of an archived record", () => {
	it("leads from it to the signed manifest of its day, wherever in the day it is", async () => {
		for (const at of [0, 1, 15, 16, 31, 47, 48, 52]) {
			const record = records[at];
			if (!record) throw new Error("there are too few records");
			const path = `/v1/audit/records/${record.record.id}/proof`;
			const { json } = await tenant.call("GET", path);
			const manifest = (await reader(
				"edgesign-audit-manifest+jwt",
				json.archived.manifest,
			)) as Manifest | null;
			expect(json.archived).toMatchObject({ index: at, records: 53 });
			const leaf = leafOf(canonicalRecord(record.record));
			expect(fromBase64(json.leaf)).toEqual(leaf);
			const hashes = json.archived.hashes.map(fromBase64);
			const root = rootBy(leaf, at, 53, hashes);
			expect(root && toHex(root)).toBe(manifest?.root);
		}
	});

	it("is none for one that is not there", async () => {
		const [first] = records;
		if (!first) throw new Error("there is no record");
		const id = first.record.id.replace(/.$/, (digit) => (digit === "0" ? "1" : "0"));
		const other = { ...first.record, id };
		const archive = env.ARCHIVE;
		expect(await proveArchived({ db: services.db, archive }, other)).toBeNull();
		const elsewhere = { ...first.record, tenant: "nobody" };
		expect(await proveArchived({ db: services.db, archive }, elsewhere)).toBeNull();
	});
});
