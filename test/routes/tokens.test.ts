import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { hashToken } from "../../src/auth/tokens.ts";
import * as limits from "../../src/limits.ts";
import { roles } from "../../src/model.ts";
import { admit } from "../../src/routes/admission.ts";
import { createServices, type Services } from "../../src/services.ts";
import { expectProblem } from "../support/answers.ts";
import { hello, newKey } from "../support/keys.ts";
import { call, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
	await newKey(tenant, "Ed25519", { name: "pay-1" });
	await newKey(tenant, "Ed25519", { name: "ops-1" });
});

type Fields = Readonly<Record<string, unknown>>;

async function mint(fields: Fields = {}, of: Tenant = tenant) {
	const json = { name: "ci", role: "signer", ...fields };
	const answer = await of.call("POST", "/v1/tokens", { json });
	expect(answer.status, answer.text).toBe(201);
	return answer.json;
}

/** Who calls with this token, as an isolate with these services finds it. */
async function admitted(services: Services, token: string) {
	const headers = { Authorization: `Bearer ${token}` };
	const found = await admit(services, new Request("https://edgesign.test/", { headers }), {
		limit: null,
	});
	return found.ok ? { ok: true, value: found.value.caller } : found;
}

const limited = (fields: Fields) => ({ rateLimit: { quota: 1, windowSeconds: 1, ...fields } });

function sign(token: string, key = "pay-1") {
	return call("POST", `/v1/keys/${key}/sign`, { token, json: { message: hello } });
}

/** A revocation that is made and, for a while, not committed. */
async function holdRevocation(id: string): Promise<void> {
	const sql = ownerSql();
	await sql.transaction([
		sql.query("update tokens set revoked_at = now() where id = $1", [id]),
		sql.query(`select pg_sleep(0.5) /* ${id} */`),
	]);
}

async function revocationsHeld(id: string): Promise<number> {
	const [found] = await ownerSql().query(
		"select count(*)::int as n from pg_stat_activity where wait_event = 'PgSleep' and query like $1",
		[`%${id}%`],
	);
	return found?.n;
}

describe("POST /v1/tokens", () => {
	it.each(roles)("makes a token of the role %s, which works at once", async (role) => {
		const { token, id, createdAt, ...rest } = await mint({ role });
		const nothing = { keys: null, rateLimit: null, expiresAt: null, revokedAt: null };
		expect(rest).toEqual({ name: "ci", role, ...nothing });
		expect(token).toMatch(new RegExp(`^es_${tenant.id}_[A-Za-z0-9_-]{43}$`));
		expect(id).toMatch(/^[0-9a-f-]{36}$/);
		expect(Math.abs(Date.parse(createdAt) - Date.now())).toBeLessThan(60_000);
		expect((await call("GET", "/v1/keys/pay-1", { token })).status).toBe(200);
		expect((await sign(token)).status).toBe(role === "admin" || role === "signer" ? 200 : 403);
	});

	it("shows the secret in this one answer, and stores its hash alone", async () => {
		const { token, id } = await mint();
		const secret = token.slice(-43); // it may have an underscore of its own
		const list = await tenant.call("GET", "/v1/tokens?limit=200");
		expect(list.text).toContain(id);
		expect(list.text).not.toContain(secret);
		expect(list.text).not.toContain(hashToken(token));
		const rows = await ownerSql().query(
			"select to_jsonb(t)::text as text, encode(secret_hash, 'hex') as hash from tokens t where id = $1",
			[id],
		);
		expect(rows).toEqual([{ text: expect.not.stringContaining(secret), hash: hashToken(token) }]);
	});

	it("never makes the same secret twice", async () => {
		const made = await Promise.all(Array.from({ length: 5 }, () => mint()));
		expect(new Set(made.map(({ token }) => token.slice(-43))).size).toBe(5);
	});

	it("says who made it, for the audit", async () => {
		const admin = await mint({ role: "admin" });
		const json = { name: "child", role: "verifier" };
		const { json: child } = await call("POST", "/v1/tokens", { token: admin.token, json });
		const rows = await ownerSql().query("select created_by from tokens where id = $1", [child.id]);
		expect(rows).toEqual([{ created_by: admin.id }]);
	});

	it("makes none when the token that asks is revoked before it is there", async () => {
		const { token, id } = await mint({ role: "admin" });
		const json = { name: "late", role: "admin" };
		expect((await call("GET", "/v1/keys", { token })).status).toBe(200);
		let isOver = false;
		const revocation = holdRevocation(id).finally(() => {
			isOver = true;
		});
		// One that a busy machine has missed is over: the answer is the same.
		await expect.poll(async () => isOver || (await revocationsHeld(id)) === 1).toBe(true);
		// Let in, because no epoch has moved yet, and kept waiting by the row that is being changed.
		const refused = await call("POST", "/v1/tokens", { token, json });
		await revocation;
		expectProblem(refused, 401, "invalid_token");
		const made = await ownerSql().query("select 1 from tokens where created_by = $1", [id]);
		expect(made).toEqual([]);
	});

	it("stores a limit of its own, shows it, and knows it of whoever calls", async () => {
		const rateLimit = { quota: 10_000_000, windowSeconds: 3600 };
		const { token, id, ...made } = await mint({ rateLimit });
		expect(made.rateLimit).toEqual(rateLimit);
		const { json } = await tenant.call("GET", "/v1/tokens?limit=200");
		const listed = json.tokens.find((other: { id: string }) => other.id === id);
		expect(listed.rateLimit).toEqual(rateLimit);
		const caller = await admitted(createServices(env), token);
		expect(caller).toMatchObject({ ok: true, value: { tokenId: id, rateLimit } });
	});

	it("knows of a token without a limit that it has none", async () => {
		const { token } = await mint();
		const caller = await admitted(createServices(env), token);
		expect(caller).toMatchObject({ ok: true, value: { rateLimit: null } });
	});

	it("takes a life of one second up to ten years", async () => {
		for (const expiresIn of [1, 86_400, 10 * 365 * 86_400]) {
			const { createdAt, expiresAt } = await mint({ expiresIn });
			expect(Date.parse(expiresAt) - Date.parse(createdAt)).toBe(expiresIn * 1000);
		}
	});

	it.each([
		["no name", { name: undefined }, "/name", ["string"]],
		["an empty name", { name: "" }, "/name", ["1", '""']],
		["a name of 129 characters", { name: "x".repeat(129) }, "/name", ["128"]],
		["a NUL in its name", { name: "a\u0000b" }, "/name", []],
		["half a surrogate pair in its name", { name: "a\ud800" }, "/name", []],
		["no role", { role: undefined }, "/role", ["admin"]],
		["an unknown role", { role: "root" }, "/role", ["signer", '"root"']],
		["an empty list of keys", { keys: [] }, "/keys", ["1"]],
		["65 patterns", { keys: Array(65).fill("a") }, "/keys", ["64"]],
		["a pattern that is no text", { keys: [5] }, "/keys/0", ["string", "5"]],
		["an empty pattern", { keys: ["a", ""] }, "/keys/1", ["1"]],
		["a pattern of 129 characters", { keys: ["a".repeat(129)] }, "/keys/0", ["128"]],
		["a pattern with a question mark", { keys: ["a?"] }, "/keys/0", ["*", '"a?"']],
		["keys as text", { keys: "pay-*" }, "/keys", ["array"]],
		["a life of no time", { expiresIn: 0 }, "/expiresIn", ["1", "0"]],
		["a life of half a second", { expiresIn: 1.5 }, "/expiresIn", ["1.5"]],
		["a life of ten years and a second", { expiresIn: 315_360_001 }, "/expiresIn", ["315360000"]],
		["a quota of nothing", limited({ quota: 0 }), "/rateLimit/quota", ["1", "0"]],
		["half a quota", limited({ quota: 0.5 }), "/rateLimit/quota", ["0.5"]],
		["a quota that is too large", limited({ quota: 10_000_001 }), "/rateLimit/quota", ["10000000"]],
		["no window", limited({ windowSeconds: undefined }), "/rateLimit/windowSeconds", ["number"]],
		["a long window", limited({ windowSeconds: 3601 }), "/rateLimit/windowSeconds", ["3600"]],
		["no limit as null", { rateLimit: null }, "/rateLimit", ["object"]],
		["a life without end as a number", { expiresIn: null }, "/expiresIn", ["number"]],
	])("refuses %s", async (_, fields, pointer, says) => {
		const json = { name: "ci", role: "signer", ...fields };
		const answer = await tenant.call("POST", "/v1/tokens", { json });
		expectProblem(answer, 400, "invalid_request", { pointer, says });
	});

	it("refuses a tenant of the caller's choice", async () => {
		const json = { name: "ci", role: "signer", tenant: "other" };
		const answer = await tenant.call("POST", "/v1/tokens", { json });
		expectProblem(answer, 400, "unknown_field", { pointer: "/tenant" });
	});
});

describe("a token for some keys", () => {
	it("works with the keys that its patterns match, by name and by id", async () => {
		const { token, keys } = await mint({ keys: ["pay-*", "x"] });
		expect(keys).toEqual(["pay-*", "x"]);
		const pay = (await tenant.call("GET", "/v1/keys/pay-1")).json;
		const ops = (await tenant.call("GET", "/v1/keys/ops-1")).json;
		for (const ref of [pay.name, pay.id]) expect((await sign(token, ref)).status).toBe(200);
		for (const ref of [ops.name, ops.id]) {
			expectProblem(await sign(token, ref), 403, "key_out_of_scope", { says: [`"${ref}"`] });
		}
	});

	it("says the same of a key that is not there, so that names can not be tried", async () => {
		const { token } = await mint({ keys: ["pay-*"] });
		expectProblem(await sign(token, "no-such-key"), 403, "key_out_of_scope");
		expectProblem(await sign(token, "pay-no-such-key"), 404, "key_not_found");
	});

	it.each([
		["reading", "GET", "", undefined],
		["changing", "PATCH", "", { tags: {} }],
		["rotating", "POST", "/rotate", undefined],
		["deleting", "DELETE", "", undefined],
		["listing versions", "GET", "/versions", undefined],
	])("does not learn by %s whether a name is in use", async (_, method, rest, json) => {
		const { token } = await mint({ role: "admin", keys: ["pay-*"] });
		const answerFor = async (name: string) => {
			const options = json === undefined ? { token } : { token, json };
			const answer = await call(method, `/v1/keys/${name}${rest}`, options);
			expectProblem(answer, 403, "key_out_of_scope");
			const { requestId: _, ...told } = answer.json;
			return JSON.stringify(told).replaceAll(name, "NAME");
		};
		expect(await answerFor("ops-1")).toBe(await answerFor("ops-2"));
	});

	it("follows a key that is renamed into and out of its patterns", async () => {
		await newKey(tenant, "Ed25519", { name: "pay-moving" });
		const { token } = await mint({ keys: ["pay-*"] });
		expect((await sign(token, "pay-moving")).status).toBe(200);
		await tenant.call("PATCH", "/v1/keys/pay-moving", { json: { name: "moved" } });
		expectProblem(await sign(token, "moved"), 403, "key_out_of_scope");
		expectProblem(await sign(token, "pay-moving"), 404, "key_not_found");
	});

	it("manages no tokens, even as an admin's, and even for all keys by a star", async () => {
		const other = await mint();
		for (const keys of [["pay-*"], ["*"]]) {
			const { token } = await mint({ role: "admin", keys });
			const json = { name: "more", role: "admin" };
			for (const answer of [
				await call("POST", "/v1/tokens", { token, json }),
				await call("GET", "/v1/tokens", { token }),
				await call("DELETE", `/v1/tokens/${other.id}`, { token }),
			]) {
				expectProblem(answer, 403, "scoped_token_forbidden", { says: ["limited to some keys"] });
			}
		}
		expect((await sign(other.token)).status).toBe(200);
	});
});

describe("DELETE /v1/tokens/{token}", () => {
	it("ends a token at once in this isolate, also one that was just used", async () => {
		const { token, id } = await mint();
		expect((await sign(token)).status).toBe(200);
		const answer = await tenant.call("DELETE", `/v1/tokens/${id}`);
		expect([answer.status, answer.text]).toEqual([204, ""]);
		const after = await sign(token);
		expectProblem(after, 401, "invalid_token");
		expect(after.headers.get("www-authenticate")).toContain('error="invalid_token"');
	});

	it("takes the id in upper case too", async () => {
		const { token, id } = await mint();
		expect((await tenant.call("DELETE", `/v1/tokens/${id.toUpperCase()}`)).status).toBe(204);
		expectProblem(await sign(token), 401, "invalid_token");
	});

	it("is as good the second time, and keeps the first time of revocation", async () => {
		const { id } = await mint();
		const revokedAt = async () => {
			const { json } = await tenant.call("GET", "/v1/tokens?limit=200");
			return json.tokens.find((token: { id: string }) => token.id === id).revokedAt;
		};
		expect(await revokedAt()).toBeNull();
		await tenant.call("DELETE", `/v1/tokens/${id}`);
		const first = await revokedAt();
		expect(first).toMatch(/Z$/);
		expect((await tenant.call("DELETE", `/v1/tokens/${id}`)).status).toBe(204);
		expect(await revokedAt()).toBe(first);
	});

	it("lets an admin revoke the token it calls with", async () => {
		const { token, id } = await mint({ role: "admin" });
		expect((await call("DELETE", `/v1/tokens/${id}`, { token })).status).toBe(204);
		expectProblem(await call("GET", "/v1/keys", { token }), 401, "invalid_token");
	});

	it("finds no token of another tenant, and leaves it alone", async () => {
		const other = await newTenant();
		await newKey(other, "Ed25519", { name: "pay-1" });
		const { token, id } = await mint({}, other);
		const answer = await tenant.call("DELETE", `/v1/tokens/${id}`);
		expectProblem(answer, 404, "token_not_found", { says: [`"${id}"`] });
		expect((await sign(token)).status).toBe(200);
	});

	it("refuses what is no id", async () => {
		const answer = await tenant.call("DELETE", "/v1/tokens/ci");
		expectProblem(answer, 400, "invalid_request", { pointer: "/token", says: ["UUID", '"ci"'] });
	});
});

describe("a token's end", () => {
	it("is refused from its very millisecond on, also from memory", async () => {
		const { token, expiresAt } = await mint({ expiresIn: 3600 });
		let now = Date.now();
		const services = createServices(env, () => now);
		const ask = async () => (await admitted(services, token)).ok;
		expect(await ask()).toBe(true);
		// One step inside the cache's time to live, so that the end is found in memory.
		now = Date.parse(expiresAt) - 1;
		expect(await ask()).toBe(true);
		now = Date.parse(expiresAt);
		expect(await ask()).toBe(false);
	});

	it("is known in another isolate when its lease is over", async () => {
		const { token, id } = await mint();
		let now = 0;
		const elsewhere = createServices(env, () => now);
		const ask = async () => (await admitted(elsewhere, token)).ok;
		expect(await ask()).toBe(true);
		await tenant.call("DELETE", `/v1/tokens/${id}`);
		now = limits.leaseTtlMs - 1;
		expect(await ask()).toBe(true);
		now = limits.leaseTtlMs;
		expect(await ask()).toBe(false);
	});
});

describe("GET /v1/tokens", () => {
	it("shows every token of the tenant in the order of making, page by page", async () => {
		const other = await newTenant();
		const made: string[] = [];
		for (let i = 0; i < 5; i++) made.push((await mint({ name: `t-${i}` }, other)).id);
		const shown: string[] = [];
		let cursor: string | null = "";
		let pages = 0;
		while (cursor !== null && pages < 10) {
			const query: string = cursor === "" ? "" : `&cursor=${cursor}`;
			const { json } = await other.call("GET", `/v1/tokens?limit=2${query}`);
			shown.push(...json.tokens.map(({ id }: { id: string }) => id));
			cursor = json.nextCursor;
			pages++;
		}
		// The first is the admin's own.
		expect(shown.slice(1)).toEqual(made);
		expect(pages).toBe(3);
	});

	it("shows an auditor what an admin sees", async () => {
		const token = await tenant.token("auditor");
		const [seen, all] = [
			await call("GET", "/v1/tokens?limit=200", { token }),
			await tenant.call("GET", "/v1/tokens?limit=200"),
		];
		expect(seen.json).toEqual(all.json);
		expect(Object.keys(seen.json.tokens[0]).sort()).toEqual(
			[
				...["createdAt", "expiresAt", "id", "keys", "name"],
				...["rateLimit", "revokedAt", "role"],
			].sort(),
		);
	});

	it("shows none of another tenant", async () => {
		const other = await newTenant();
		const { id } = await mint({}, other);
		expect((await tenant.call("GET", "/v1/tokens?limit=200")).text).not.toContain(id);
	});

	it.each([
		["limit=0", "invalid_request"],
		["limit=201", "invalid_request"],
		["cursor=nonsense", "invalid_cursor"],
		["role=admin", "unknown_field"],
	] as const)("refuses %s", async (query, code) => {
		expectProblem(await tenant.call("GET", `/v1/tokens?${query}`), 400, code);
	});
});

describe("the Authorization header", () => {
	it.each([
		["basic", "Basic YTpi", "invalid_token"],
		["a token without its scheme", "es_main_x", "invalid_token"],
		["two tokens", `Bearer es_main_${"A".repeat(43)} es_main_${"A".repeat(43)}`, "invalid_token"],
		["a scheme alone", "Bearer", "invalid_token"],
		["nothing after the scheme", "Bearer ", "invalid_token"],
		["10,000 characters", `Bearer ${"A".repeat(10_000)}`, "invalid_token"],
		["a tenant with a quote", `Bearer es_'x_${"A".repeat(43)}`, "invalid_token"],
		["nothing", undefined, "missing_token"],
		["an empty text", "", "missing_token"],
	] as const)("is refused with %s", async (_, value, code) => {
		const headers = value === undefined ? {} : { Authorization: value };
		const answer = await call("GET", "/v1/keys", { headers });
		expectProblem(answer, 401, code);
		expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer realm="edgesign"/);
	});

	it("may say bearer in any case, and leave more than one space", async () => {
		const { token } = await mint();
		for (const scheme of ["bearer", "BEARER", "Bearer  "]) {
			const answer = await call("GET", "/v1/keys", {
				headers: { Authorization: `${scheme} ${token}` },
			});
			expect(answer.status).toBe(200);
		}
	});
});
