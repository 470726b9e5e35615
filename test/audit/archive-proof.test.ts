import { env } from "cloudflare:workers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { proveArchived } from "../../src/audit/archive-proof.ts";
import { leafOf, linked } from "../../src/audit/chain.ts";
import type { Manifest } from "../../src/audit/manifest.ts";
import { MerkleRoot, pathTo, rootBy } from "../../src/audit/merkle.ts";
import { canonicalRecord, timeOf } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import type { SourcedRecord } from "../../src/audit/source.ts";
import { fromBase64, toHex } from "../../src/lib/bytes.ts";
import { expectProblem } from "../support/answers.ts";
import { call, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";
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

	it("is refused where Postgres has it again at another place, with links made anew", async () => {
		const [before, record] = [records[19], records[20]];
		if (!before || !record) throw new Error("there are too few records");
		const chain = "01900000-0000-7000-8000-0000000000aa";
		const previous = new Uint8Array(32).fill(7);
		const invented = linked(
			{ sequence: 700_000, link: previous },
			leafOf(canonicalRecord(record.record)),
		);
		await putBack({ ...before, chain, sequence: 700_000, link: previous });
		await putBack({ ...record, chain, ...invented });
		const answer = await tenant.call("GET", `/v1/audit/records/${record.record.id}/proof`);
		expectProblem(answer, 500, "audit_chain_broken");
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

/** A row as whoever can write to Postgres may add one. */
async function putBack({ record, chain, sequence, link }: SourcedRecord): Promise<void> {
	const { target } = record;
	await ownerSql().query(
		`insert into audit_events (tenant_id, at, id, request_id, token_id, action, target_id, target_name,
			version, algorithm, address, input_kind, input, signature, cost, outcome, chain, sequence, link)
		values ($1, to_timestamp($2::bigint / 1000.0), $3, $4, $5, $6, $7, $8, $9, $10, $11, $12,
			decode($13, 'hex'), decode($14, 'hex'), $15, $16, $17, $18, decode($19, 'hex'))`,
		[
			...[record.tenant, timeOf(record), record.id, record.requestId, record.tokenId],
			...[record.action, target.id, target.name, target.version, target.algorithm, record.address],
			...[record.inputKind, record.input && toHex(record.input)],
			...[record.signature && toHex(record.signature), record.cost, record.outcome],
			...[chain, sequence, toHex(link)],
		],
	);
}
