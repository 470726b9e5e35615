import { beforeEach, describe, expect, it } from "vitest";
import { joinAppends } from "../../src/audit/block.ts";
import { chainStart, leafOf, linked } from "../../src/audit/chain.ts";
import { checkpointOf } from "../../src/audit/checkpoint.ts";
import { writeExport } from "../../src/audit/export.ts";
import { packRecords } from "../../src/audit/pack.ts";
import { decodeRecord, firstRecordId, splitAppend } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import { unfiltered } from "../../src/audit/source.ts";
import { ExportVerifier } from "../../src/audit/verify.ts";
import { insertEvents } from "../../src/db/audit-events.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import { newKey } from "../support/keys.ts";
import { call, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";
import { services } from "./archive-support.ts";
import { drain, newAppend, objectAt } from "./support.ts";

/** Whoever can write to Postgres can write a whole chain there, with links that hold. */
let tenant: Tenant;
let chain: string;
let ids: string[];

beforeEach(async () => {
	tenant = await newTenant();
	await newKey(tenant);
	const at = Date.now() - 300_000;
	const name = {
		...{ id: uuidv7(() => at, systemRandom), tenant: tenant.id },
		...{ region: "weur", shard: 3 },
	};
	chain = name.id;
	let head = chainStart(name);
	const records = [1, 2, 3].map(() => {
		const id = firstRecordId(uuidv7(() => at, systemRandom));
		const [record] = splitAppend(newAppend(`${tenant.id}/weur/3`, 1, {}, id));
		if (!record) throw new Error("an append without a record");
		head = linked(head, leafOf(record));
		return { ...record, ...head };
	});
	ids = records.map((record) => decodeRecord(record).id);
	await insertEvents(services.db, name, packRecords(records));
});

async function readerNow() {
	return createStatementReader((await call("GET", "/.well-known/audit-jwks.json")).json.keys);
}

async function verdict(query = "") {
	const verifier = new ExportVerifier(await readerNow(), null);
	const { text } = await tenant.call("GET", `/v1/audit/export${query}`);
	for (const line of text.trimEnd().split("\n")) await verifier.line(line);
	return verifier.done();
}

it("a chain that began after the checkpoint is not of the export, however old its first record is", async () => {
	const own = await newTenant();
	await newKey(own);
	const { auditReader, auditSigner: signer } = services;
	const source = await auditReader.recordsOf(own.id);
	const checkpoint = checkpointOf(own.id, await auditReader.headsOf(own.id), Date.now());
	// As a note that was long on its way.
	const late = firstRecordId(uuidv7(() => Date.now() - 600_000, systemRandom));
	const place = `${own.id}/weur/0`;
	await objectAt(place).append(joinAppends([newAppend(place, 1, {}, late)]), false);
	await drain(place);
	const verifier = new ExportVerifier(await readerNow(), null);
	const request = {
		...{ id: late, filter: { ...unfiltered, tenant: own.id }, checkpoint, source, signer },
		hasBegun: (one: string) => auditReader.hasBegun(own.id, one),
		expired: async function* () {},
	};
	let text = "";
	for await (const piece of writeExport(request)) text += piece;
	for (const line of text.trimEnd().split("\n")) await verifier.line(line);
	expect(verifier.done()).toMatchObject({ findings: [], records: 1, isWhole: true });
});

describe("a chain that Postgres alone knows", () => {
	it("is named by the checkpoint, and its records by whoever verifies an export", async () => {
		const { checkpoint } = (await tenant.call("GET", "/v1/audit/checkpoint")).json;
		expect(checkpoint).toMatchObject({ ended: [], unknown: [chain], chains: [{ region: "enam" }] });
		const { findings, found } = await verdict();
		expect(found).toBe(4);
		expect(new Set(findings.map(({ kind }) => kind))).toEqual(new Set(["added"]));
		expect(findings.at(-1)?.message).toContain(chain);
		expect((await verdict("?action=createKey")).found).toBe(1); // none of its records passes
	});

	it("is found where it is not among the chains either", async () => {
		await ownerSql().query("delete from audit_chains where tenant_id = $1 and id = $2", [
			...[tenant.id, chain],
		]);
		const { checkpoint } = (await tenant.call("GET", "/v1/audit/checkpoint")).json;
		expect(checkpoint).toMatchObject({ ended: [], unknown: [] });
		const { findings } = await verdict();
		expect(findings).toHaveLength(3);
		for (const { kind, message } of findings) {
			expect(kind).toBe("added");
			expect(message).toContain(chain);
		}
	});

	it.each(["with", "without"])("has no proof of its records, %s its row", async (row) => {
		if (row === "without") {
			await ownerSql().query("delete from audit_chains where id = $1", [chain]);
		}
		for (const id of ids) {
			const { status, json } = await tenant.call("GET", `/v1/audit/records/${id}/proof`);
			expect({ status, code: json.code }).toEqual({ status: 500, code: "audit_chain_broken" });
		}
	});
});
