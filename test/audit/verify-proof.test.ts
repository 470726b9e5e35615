import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Checkpoint } from "../../src/audit/checkpoint.ts";
import { createStatementReader, type StatementReader } from "../../src/audit/signer.ts";
import { verifyProof } from "../../src/audit/verify-proof.ts";
import { call, newTenant, type Tenant } from "../support/tenant.ts";
import { archiveAll, dropDays, fill, newDay, services, small } from "./archive-support.ts";

let tenant: Tenant;
let read: StatementReader;
/** Of a record with links to the head of its chain; of one in the archive. */
let live: string;
let archived: string;
/** Before that record, at it, and behind it. */
let kept: (Checkpoint | null)[];

beforeAll(async () => {
	tenant = await newTenant();
	read = await readerNow();
	kept = [];
	for (const name of ["first", "second", "third"]) {
		await tenant.call("POST", "/v1/keys", { json: { name, algorithm: "Ed25519" } });
		const { signed } = (await tenant.call("GET", "/v1/audit/checkpoint")).json;
		kept.push((await read("edgesign-audit-checkpoint+jwt", signed)) as Checkpoint | null);
	}
	const { records } = (await tenant.call("GET", "/v1/audit")).json;
	live = await proofOf(tenant, records[1].id);

	const other = await newTenant();
	const stored = await fill({ tenant: other.id, day: await newDay(1997) }, 20);
	await archiveAll({ ...small, fileRecords: 16 });
	const proof = JSON.parse(await proofOf(other, stored[17]?.record.id ?? ""));
	expect(proof.signed).toBeNull(); // no object has the chain
	const { id, chain, sequence, link } = proof.record;
	const place = { tenant: other.id, id, chain, sequence, link, leaf: proof.leaf };
	proof.signed = await services.auditSigner.sign("edgesign-audit-record+jwt", place);
	archived = JSON.stringify(proof);
}, 60_000);
afterAll(dropDays);

async function readerNow() {
	return createStatementReader((await call("GET", "/.well-known/audit-jwks.json")).json.keys);
}

async function proofOf(of: Tenant, id: string): Promise<string> {
	return (await of.call("GET", `/v1/audit/records/${id}/proof`)).text;
}

/** Each text and number of a document, changed by itself: one character of it, or by one. */
function* changesOf(value: unknown): Generator<unknown> {
	if (typeof value === "number") yield value + 1;
	else if (typeof value === "string") {
		for (const at of new Set([0, value.length >> 1, value.length - 1])) {
			const other = value[at] === "A" ? "B" : "A";
			yield value.slice(0, at) + other + value.slice(at + 1);
		}
	} else if (typeof value === "object" && value !== null) {
		const members = Object.entries(value);
		for (const [name, member] of members) {
			for (const changed of changesOf(member)) {
				const copy = Object.fromEntries(members);
				copy[name] = changed;
				yield Array.isArray(value) ? Object.values(copy) : copy;
			}
		}
	}
}

describe("the proof of a record", () => {
	it("holds, and tells what it leads to", async () => {
		expect(await verifyProof(live, read)).toMatchObject({
			findings: [],
			record: { action: "createKey", target: { name: "second" } },
			checkpoint: { at: expect.any(String), links: 2 },
			passesKept: null,
			day: null,
		});
		expect(await verifyProof(archived, read)).toMatchObject({
			findings: [],
			day: expect.stringMatching(/^1997-/),
		});
	});

	it("holds however it was written since", async () => {
		const sorted = JSON.stringify(
			JSON.parse(live),
			(_, value) =>
				typeof value === "object" && value !== null && !Array.isArray(value)
					? Object.fromEntries(Object.entries(value).sort())
					: value,
			2,
		);
		expect(sorted).toMatch(/^\{\s+"archived"/);
		expect((await verifyProof(sorted, read)).findings).toEqual([]);
	});

	it("does not hold when anything of it was changed", async () => {
		for (const proof of [live, archived]) {
			const changes = [...changesOf(JSON.parse(proof))];
			expect(changes.length).toBeGreaterThan(50);
			for (const changed of changes) {
				const text = JSON.stringify(changed);
				const { findings } = await verifyProof(text, read);
				expect(findings, text).not.toEqual([]);
			}
		}
	});

	it("does not hold with the links, the manifest or the place of another record", async () => {
		const [one, other] = [JSON.parse(live), JSON.parse(archived)];
		for (const part of ["record", "canonical", "leaf", "signed", "archived"]) {
			const mixed = JSON.stringify({ ...one, [part]: other[part] });
			expect((await verifyProof(mixed, read)).findings, part).not.toEqual([]);
		}
		const mixed = JSON.stringify({ ...other, path: one.path });
		expect((await verifyProof(mixed, read)).findings).not.toEqual([]);
	});

	it("leads through a checkpoint that was kept, or says that it is of another place", async () => {
		const [before, at, behind] = kept;
		expect(await verifyProof(live, read, before)).toMatchObject({ passesKept: null });
		expect(await verifyProof(live, read, at)).toMatchObject({ passesKept: true, findings: [] });
		expect(await verifyProof(live, read, behind)).toMatchObject({ passesKept: true, findings: [] });
		if (!behind) throw new Error("the service signed no checkpoint");
		const chains = behind.chains.map((head) => ({ ...head, link: "A".repeat(43).concat("=") }));
		const { findings, passesKept } = await verifyProof(live, read, { ...behind, chains });
		expect(passesKept).toBe(false);
		expect(findings).toMatchObject([{ kind: "changed" }]);
	});

	it("proves no place where nothing but the day is signed", async () => {
		const unplaced = { ...JSON.parse(archived), signed: null, path: null };
		unplaced.record.sequence++;
		expect(await verifyProof(JSON.stringify(unplaced), read)).toMatchObject({
			isPlaced: false,
			day: expect.stringMatching(/^1997-/),
		});
		expect(await verifyProof(archived, read)).toMatchObject({ isPlaced: true });
	});

	it("is by one of the keys", async () => {
		const created = await tenant.call("POST", "/v1/keys", {
			json: { name: "another", algorithm: "Ed25519" },
		});
		const { x } = created.json.publicKey.jwk;
		const [{ kid }] = (await call("GET", "/.well-known/audit-jwks.json")).json.keys;
		const others = await createStatementReader([{ x, kid }]);
		const { findings } = await verifyProof(live, others);
		expect(findings.map(({ kind }) => kind)).toContain("forged");
	});

	it("is unreadable when it is none", async () => {
		for (const text of ["", "null", "[]", "{}", '{"record":{}}', live.slice(1), `${live}${live}`]) {
			expect((await verifyProof(text, read)).findings).toMatchObject([{ kind: "unreadable" }]);
		}
	});
});
