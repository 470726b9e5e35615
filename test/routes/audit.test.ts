import { env } from "cloudflare:workers";
import { compactVerify, createLocalJWKSet } from "jose";
import { beforeAll, describe, expect, it } from "vitest";
import { routes } from "../../src/app.ts";
import { callersActions } from "../../src/audit/actions.ts";
import { joinAppends } from "../../src/audit/block.ts";
import { firstRecordId } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import { AuditUnreadable } from "../../src/audit/source.ts";
import { verifyProof } from "../../src/audit/verify-proof.ts";
import { toBase64 } from "../../src/lib/bytes.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import { serve } from "../../src/routes/serve.ts";
import { createServices } from "../../src/services.ts";
import { drain, newAppend, objectAt, placeOfTests } from "../audit/support.ts";
import { expectProblem } from "../support/answers.ts";
import { inBackground } from "../support/background.ts";
import { hello, newKey } from "../support/keys.ts";
import { call, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
let token: string;
beforeAll(async () => {
	tenant = await newTenant();
	token = await tenant.token("auditor");
	const key = await newKey(tenant, "Ed25519", { name: "payments" });
	for (let done = 0; done < 3; done++) {
		await tenant.call("POST", `/v1/keys/${key.id}/sign`, { json: { message: hello } });
	}
});

const get = (path: string) => tenant.call("GET", path, { token });

/** What a statement says, by another implementation. */
async function stated(jws: string): Promise<unknown> {
	const keys = (await call("GET", "/.well-known/audit-jwks.json")).json;
	const { payload } = await compactVerify(jws, createLocalJWKSet(keys));
	return JSON.parse(new TextDecoder().decode(payload));
}

describe("GET /v1/audit", () => {
	it("tells what was done, the newest first, to the last page", async () => {
		const all = await get("/v1/audit");
		expect(all.status).toBe(200);
		expect(all.json.nextCursor).toBeNull();
		const actions = all.json.records.map((record: { action: string }) => record.action);
		expect(actions).toEqual(["sign", "sign", "sign", "createKey"]);
		const paged: unknown[] = [];
		for (let cursor = ""; ; ) {
			const page = await get(`/v1/audit?limit=1${cursor}`);
			expect(page.status).toBe(200);
			paged.push(...page.json.records);
			if (page.json.nextCursor === null) break;
			cursor = `&cursor=${page.json.nextCursor}`;
		}
		expect(paged).toEqual(all.json.records);
	});

	it("filters by key, token, action and time", async () => {
		const { records } = (await get("/v1/audit")).json;
		const [last] = records;
		expect((await get("/v1/audit?action=createKey")).json.records).toEqual([records[3]]);
		expect((await get("/v1/audit?key=payments")).json.records).toEqual(records);
		expect((await get(`/v1/audit?key=${last.target.id}&action=sign`)).json.records).toHaveLength(3);
		expect((await get(`/v1/audit?token=${last.tokenId}`)).json.records).toEqual(records);
		expect((await get(`/v1/audit?to=${last.at}`)).json.records).not.toContainEqual(last);
		expect((await get(`/v1/audit?from=${last.at}`)).json.records).toContainEqual(last);
		expect((await get("/v1/audit?key=nobody")).json.records).toEqual([]);
	});

	it("takes a moment between two milliseconds as it is, before the later one", async () => {
		const { records } = (await get("/v1/audit")).json;
		const [{ at }] = records;
		const [exactly, later] = ["000000", "000001"].map((digits) => at.replace("Z", `${digits}Z`));
		const found = async (query: string) => (await get(`/v1/audit?${query}`)).json.records;
		const isAt = (record: { at: string }) => record.at === at;
		expect((await found(`from=${exactly}`)).some(isAt)).toBe(true);
		expect((await found(`from=${later}`)).some(isAt)).toBe(false);
		expect((await found(`to=${exactly}`)).some(isAt)).toBe(false);
		expect((await found(`to=${later}`)).some(isAt)).toBe(true);
	});

	it("finds by an id in upper case what it finds by the same id in lower case", async () => {
		const { records } = (await get("/v1/audit")).json;
		const [last] = records;
		const [key, by, id] = [last.target.id, last.tokenId, last.id].map((id) => id.toUpperCase());
		expect((await get(`/v1/audit?key=${key}`)).json.records).toEqual(records);
		expect((await get(`/v1/audit?token=${by}`)).json.records).toEqual(records);
		expect((await get(`/v1/audit/records/${id}`)).json).toEqual(last);
		expect((await get(`/v1/audit/records/${id}/proof`)).json.record).toEqual(last);
	});

	it("refuses an action that there is not: nothing found would look as if nothing had been done", async () => {
		for (const action of ["signKey", "SIGN", "operator.sign", ""]) {
			for (const path of ["/v1/audit", "/v1/audit/export"]) {
				const refused = await get(`${path}?action=${action}`);
				expectProblem(refused, 400, "invalid_request");
				expect(refused.json.errors).toMatchObject([{ pointer: "/action" }]);
				expect(refused.json.detail).toContain('"operator.createToken"');
			}
		}
		expect((await get("/v1/audit?action=operator.createTenant")).status).toBe(200);
	});

	it("knows of every operation that takes a token, and of no other", () => {
		const guarded = routes.filter(({ permission }) => permission !== null).map(({ id }) => id);
		expect(guarded.toSorted()).toEqual([...callersActions].sort());
	});

	it("tells of a parameter that stands there twice, and not of what it would have to be", async () => {
		const refused = await get("/v1/audit?limit=1&limit=2&limit=3");
		expectProblem(refused, 400, "invalid_request");
		expect(refused.json.detail).toBe("/limit: must stand there once, not 3 times.");
		const twice = await get("/v1/audit?action=sign&action=verify");
		expect(twice.json.detail).toBe("/action: must stand there once, not 2 times.");
	});

	it("refuses a cursor of another filter, of another tenant, or of nobody", async () => {
		const { nextCursor } = (await get("/v1/audit?limit=1")).json;
		expectProblem(await get(`/v1/audit?action=sign&cursor=${nextCursor}`), 400, "invalid_cursor");
		expectProblem(await get("/v1/audit?cursor=AAAA"), 400, "invalid_cursor");
		const other = await newTenant();
		expectProblem(await other.call("GET", `/v1/audit?cursor=${nextCursor}`), 400, "invalid_cursor");
	});

	it("refuses what is no time, and a filter that it does not know", async () => {
		expectProblem(await get("/v1/audit?from=yesterday"), 400, "invalid_request");
		for (const time of ["9999-12-31T23:59:59-23:59", "0000-12-31T23:59:59Z"]) {
			const says = ["/from", "in the years 1 to 9999"];
			expectProblem(await get(`/v1/audit?from=${time}`), 400, "invalid_request", { says });
		}
		expectProblem(await get("/v1/audit?limit=1001"), 400, "invalid_request", {
			says: ["whole number from 1 to 200", '"1001"'],
		});
		expectProblem(await get("/v1/audit?keys=payments"), 400, "unknown_field");
	});

	it.each(["", "/export"])(
		"refuses a span that ends before it begins: /v1/audit%s",
		async (path) => {
			const [early, late] = ["2026-11-21T10:00:00Z", "2026-11-21T12:00:00+01:00"];
			const answer = await get(
				`/v1/audit${path}?from=2026-11-21T11:00:00.001Z&to=${late.replace("+", "%2B")}`,
			);
			expectProblem(answer, 400, "invalid_request", { says: ["/to", "must not be before `from`"] });
			expect((await get(`/v1/audit?from=${early}&to=${early}`)).status).toBe(200);
		},
	);

	it.each(["listAudit", "exportAudit", "getAuditCheckpoint"])(
		"%s answers 503 where a part of the log does not answer",
		async (id) => {
			const route = routes.find((known) => known.id === id);
			if (!route) throw new Error(`there is no route ${id}`);
			const gone = () => Promise.reject(new AuditUnreadable("gone"));
			const services = {
				...createServices(env),
				auditReader: {
					recordsOf: async () => ({ read: gone }),
					headsOf: gone,
					hasBegun: gone,
					markOf: gone,
					movedOf: () => ({ read: gone }),
				},
			};
			const headers = { Authorization: `Bearer ${token}` };
			const raw = new Request("https://edgesign.test/", { headers });
			const answer = await serve(route, services, raw, {}, inBackground);
			expect(answer.status).toBe(503);
			expect(await answer.json()).toMatchObject({ code: "unavailable" });
		},
	);
});

describe("GET /v1/audit/records/{record}", () => {
	it("tells one record, and its proof says the same under the service's key", async () => {
		const [record] = (await get("/v1/audit")).json.records;
		expect((await get(`/v1/audit/records/${record.id}`)).json).toEqual(record);
		const proof = await get(`/v1/audit/records/${record.id}/proof`);
		expect(proof.json.record).toEqual(record);
		const bytes = proof.json.canonical.map((part: string) => atob(part)).join("");
		const leaf = await crypto.subtle.digest(
			"SHA-256",
			Uint8Array.from(`\0${bytes}`, (character) => character.charCodeAt(0)),
		);
		expect(btoa(String.fromCharCode(...new Uint8Array(leaf)))).toBe(proof.json.leaf);
		const { id, chain, sequence, link } = record;
		const said = { tenant: tenant.id, id, chain, sequence, link, leaf: proof.json.leaf };
		expect(await stated(proof.json.signed)).toMatchObject(said);
	});

	it("leads by hashes alone from each record to the head that the checkpoint signs", async () => {
		const { records } = (await get("/v1/audit")).json;
		for (const { id, sequence, chain } of records) {
			const { leaf, path } = (await get(`/v1/audit/records/${id}/proof`)).json;
			expect(path.leaves).toHaveLength(records.length - sequence);
			const { chains } = (await stated(path.checkpoint)) as {
				chains: { id: string; link: string }[];
			};
			let link = path.previous;
			for (const next of [leaf, ...path.leaves]) {
				const parts = ["\x02", atob(link), atob(next)].join("");
				const bytes = Uint8Array.from(parts, (character) => character.charCodeAt(0));
				link = toBase64(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
			}
			expect(chains).toMatchObject([{ id: chain, link }]);
		}
	});

	it("is not proven when it, or one after it, was changed in Postgres", async () => {
		const own = await newTenant();
		const key = await newKey(own);
		const json = { message: hello };
		for (let done = 0; done < 2; done++)
			await own.call("POST", `/v1/keys/${key.id}/sign`, { json });
		await drain(placeOfTests(own.id));
		const { records } = (await own.call("GET", "/v1/audit")).json;
		const [newest, changed, first] = records.map(({ id }: { id: string }) => id);
		const proofOf = (id: string) => own.call("GET", `/v1/audit/records/${id}/proof`);
		for (const { id } of records) expect((await proofOf(id)).json.path).not.toBeNull();
		const sql = "update audit_events set target_name = $3 where tenant_id = $1 and id = $2";
		await ownerSql().query(sql, [own.id, changed, "innocent"]);
		expectProblem(await proofOf(changed), 500, "audit_chain_broken", { says: ["changed"] });
		expectProblem(await proofOf(first), 500, "audit_chain_broken");
		// What is behind the change has not changed, and the way to its head neither.
		expect((await proofOf(newest)).json.signed).toEqual(expect.any(String));
		// Without the one before it nobody can say that it was changed, and nobody signs it.
		await ownerSql().query("delete from audit_events where tenant_id = $1 and id = $2", [
			own.id,
			first,
		]);
		const unsure = await proofOf(changed);
		expect(unsure.json).toMatchObject({ signed: null, path: null, archived: null });
		const { keys } = (await own.call("GET", "/.well-known/audit-jwks.json")).json;
		const { findings } = await verifyProof(unsure.text, await createStatementReader(keys));
		expect(findings).toMatchObject([{ kind: "forged" }]);
	});

	it("has its way to the head on a chain on which nothing happened for long before it", async () => {
		const own = await newTenant();
		const place = placeOfTests(own.id);
		const hourAgo = uuidv7(() => Date.now() - 3_600_000, systemRandom);
		const appends = [newAppend(place, 1, {}, firstRecordId(hourAgo)), newAppend(place)];
		for (const append of appends) await objectAt(place).append(joinAppends([append]), false);
		const [newest] = (await own.call("GET", "/v1/audit")).json.records;
		const { path } = (await own.call("GET", `/v1/audit/records/${newest.id}/proof`)).json;
		expect(path.leaves).toEqual([]);
	});

	it("answers 404 for another tenant's, and for none", async () => {
		const [record] = (await get("/v1/audit")).json.records;
		const other = await newTenant();
		const path = `/v1/audit/records/${record.id}`;
		expectProblem(await other.call("GET", path), 404, "audit_record_not_found");
		const none = await get("/v1/audit/records/01900000-0000-7000-8000-00000000000f");
		expectProblem(none, 404, "audit_record_not_found");
	});
});

describe("GET /v1/audit/checkpoint", () => {
	it("tells where each chain ends, signed with a key that is served", async () => {
		const { checkpoint, signed } = (await get("/v1/audit/checkpoint")).json;
		expect(await stated(signed)).toEqual(checkpoint);
		const [newest] = (await get("/v1/audit?limit=200")).json.records.sort(
			(a: { sequence: number }, b: { sequence: number }) => b.sequence - a.sequence,
		);
		const { chain: id, sequence, link } = newest;
		expect(checkpoint.chains).toEqual([
			{ id, sequence, link, tenant: tenant.id, region: "enam", shard: 0 },
		]);
	});

	it("has no chain where nothing was done", async () => {
		const { json } = await (await newTenant()).call("GET", "/v1/audit/checkpoint");
		expect(json.checkpoint).toMatchObject({ chains: [], ended: [] });
		expect(json.checkpoint.root).toBe("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
	});
});
