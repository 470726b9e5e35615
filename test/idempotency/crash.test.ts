import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { documentedRoutes as routes } from "../../openapi/routes.ts";
import { hashToken } from "../../src/auth/tokens.ts";
import { type Database, DatabaseUnavailable } from "../../src/db/client.ts";
import { fromBase64, toHex } from "../../src/lib/bytes.ts";
import * as limits from "../../src/limits.ts";
import { createServices, type Services } from "../../src/services.ts";
import { exampleTenant, exampleTokenId } from "../support/fixtures.ts";
import { hello, newKey } from "../support/keys.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";
import {
	ask,
	crashingBeforeFinish,
	letAttemptsStall,
	newIdempotencyKey,
	rowsOf,
	withEntries,
	withStatement,
} from "./support.ts";

let tenant: Tenant;
let token: string;
beforeAll(async () => {
	tenant = await newTenant();
	token = await tenant.token("admin");
});

const writing = routes.filter((route) => route.permission?.endsWith(":write"));

describe.each(writing)(
	"$method $path, whose isolate is gone before the answer is kept",
	(route) => {
		it("has its effect once, and the next attempt answers what is there", async () => {
			const own = await exampleTenant();
			for (const enable_benchmarks of [false, true]) {
				await own.call("PUT", "/v1/config", {
					json: { benchmarking_config: { enable_benchmarks } },
				});
			}
			const [example] = route.examples;
			const asked = {
				id: route.id,
				...example,
				json: example?.body,
				key: newIdempotencyKey(),
				token: await own.token("admin"),
			};
			const before = await rowsOf(own.id);
			const lost = await ask(crashingBeforeFinish(), asked);
			expect(lost.status).toBe(503);
			const after = await rowsOf(own.id);
			// What is cached is no row.
			if (route.tag !== "Caches") expect(after).not.toEqual(before);

			const services = createServices(env);
			const soon = await ask(services, asked);
			expect(soon.status).toBe(409);
			expect(soon.headers.get("retry-after")).toBe("1");
			expect(await soon.json()).toMatchObject({ code: "idempotency_running" });

			await letAttemptsStall();
			const next = await ask(services, asked);
			const text = await next.text();
			expect(next.status, text).toBe(route.status);
			expect(next.headers.get("idempotency-replayed")).toBeNull();
			if (route.answer.schema) {
				expect(route.answer.schema.safeParse(JSON.parse(text)).error).toBeUndefined();
			}
			expect(await rowsOf(own.id)).toEqual(after);
			const replay = await ask(services, asked);
			expect(await replay.text()).toBe(text);
			expect(replay.headers.get("idempotency-replayed")).toBe("true");
		});
	},
);

describe("an effect whose answer was lost", () => {
	it("is a token whose secret comes again, and works", async () => {
		const json = { name: "ci", role: "signer" };
		const asked = { id: "createToken", json, key: newIdempotencyKey(), token };
		await ask(crashingBeforeFinish(), asked);
		await letAttemptsStall();
		const made = await (await ask(createServices(env), asked)).json<Record<string, string>>();
		const rows = await ownerSql().query(
			"select id, encode(secret_hash, 'hex') as hash from tokens where tenant_id = $1 and name = 'ci'",
			[tenant.id],
		);
		expect(rows).toEqual([{ id: made.id, hash: hashToken(made.token ?? "") }]);
		const answer = await tenant.call("GET", "/v1/keys", { token: made.token ?? null });
		expect(answer.status).toBe(200);
	});

	it("is a key that answers under its new name, though the request names the old one", async () => {
		const { id, name } = await newKey(tenant);
		const asked = {
			id: "updateKey",
			params: { key: name },
			json: { name: "renamed" },
			key: newIdempotencyKey(),
			token,
		};
		await ask(crashingBeforeFinish(), asked);
		await letAttemptsStall();
		const answer = await ask(createServices(env), asked);
		expect(answer.status).toBe(200);
		expect(await answer.json()).toMatchObject({ id, name: "renamed" });
	});

	it("is found at once when only the database's answer was lost", async () => {
		for (const effect of [true, false]) {
			const json = { name: `lost-${effect}`, algorithm: "Ed25519" };
			const asked = { id: "createKey", json, key: newIdempotencyKey(), token };
			const lost = await ask(
				withStatement("keys.insert", async (run) => {
					if (effect) await run();
					throw new DatabaseUnavailable("keys.insert: TimeoutError");
				}),
				asked,
			);
			expect(lost.status).toBe(503);
			const next = await ask(createServices(env), asked);
			expect(next.status).toBe(201);
			expect(await next.json()).toMatchObject({ name: `lost-${effect}`, version: 1 });
		}
	});

	it("is not made again however often its attempts are cut off", async () => {
		const { id } = await newKey(tenant);
		const asked = { id: "rotateKey", params: { key: id }, key: newIdempotencyKey(), token };
		for (let attempt = 0; attempt < 4; attempt++) {
			expect((await ask(crashingBeforeFinish(), asked)).status).toBe(503);
			await letAttemptsStall();
		}
		const answer = await ask(createServices(env), asked);
		expect(await answer.json()).toMatchObject({ version: 2 });
	});

	it("is sealed under another IV in every attempt, though all have the same randomness", async () => {
		const sealed: string[] = [];
		const services = createServices(env);
		const query: Database["query"] = async (statement, params) => {
			if (statement.name !== "keys.insert") return services.db.query(statement, params);
			sealed.push(String(params[9]));
			throw new DatabaseUnavailable("keys.insert: TimeoutError");
		};
		const json = { name: "sealed", algorithm: "Ed25519" };
		const asked = { id: "createKey", json, key: newIdempotencyKey(), token };
		for (let attempt = 0; attempt < 3; attempt++) {
			await ask({ ...services, db: { ...services.db, query } }, asked);
		}
		const ivs = sealed.map((text) => toHex(fromBase64(text)?.subarray(1, 13) ?? new Uint8Array()));
		expect(ivs.every((iv) => /^[0-9a-f]{24}$/.test(iv))).toBe(true);
		expect(new Set(ivs).size).toBe(3);
	});

	it.each([
		["tokens.revoke", { id: "revokeToken", params: { token: exampleTokenId } }],
		["keys.move", { id: "disableKey", params: { key: "payments" } }],
		["config.insert", { id: "putConfig", json: { limits_config: { reserve_percent: 30 } } }],
	])("of %s is answered behind a fence, where one was asked for", async (name, change) => {
		const own = await exampleTenant();
		const asked = {
			...change,
			query: { fence: "true" },
			key: newIdempotencyKey(),
			token: await own.token("admin"),
		};
		const lost = withStatement(name, async (run) => {
			await run();
			throw new DatabaseUnavailable(`${name}: TimeoutError`);
		});
		expect((await ask(lost, asked)).status).toBe(503);
		// Another isolate's, which has the state of before.
		const lentFrom = Date.now();
		const { epoch } = await leased(createServices(env), own);
		const next = await ask(createServices(env), asked);
		expect(next.status).toBeLessThan(300);
		expect(Date.now() - lentFrom).toBeGreaterThanOrEqual(limits.leaseTtlMs);
		expect((await leased(createServices(env), own)).epoch).toBeGreaterThan(epoch);
	});

	it("leaves a refusal as it is when there was none", async () => {
		await newKey(tenant, "Ed25519", { name: "in-use" });
		const json = { name: "in-use", algorithm: "Ed25519" };
		const asked = { id: "createKey", json, key: newIdempotencyKey(), token };
		expect((await ask(crashingBeforeFinish(), asked)).status).toBe(503);
		await letAttemptsStall();
		expect((await ask(createServices(env), asked)).status).toBe(409);
	});
});

describe("a signature whose answer was lost", () => {
	it("is made again, and is then one and the same", async () => {
		const key = await newKey(tenant, "ES256");
		const json = { message: hello };
		const asked = { id: "sign", params: { key: key.id }, json, key: newIdempotencyKey(), token };
		expect((await ask(crashingBeforeFinish(), asked)).status).toBe(503);
		await letAttemptsStall();
		const services = createServices(env);
		const first = await (await ask(services, asked)).text();
		expect(await (await ask(services, asked)).text()).toBe(first);
	});
});

/** The lease that an isolate has of a tenant. */
async function leased({ leases }: Services, { id }: Tenant) {
	const term = await leases.term(id);
	if (!("epoch" in term)) throw new Error("there is no lease");
	return term;
}

/** A gate that someone else opens. */
function gate() {
	const { promise, resolve } = Promise.withResolvers<void>();
	return { opened: promise, open: resolve };
}

describe("a first attempt that stalls", () => {
	it.each([
		["before its effect", true],
		["after its effect", false],
	])("%s answers what its successor answered, and there is one effect", async (_, before) => {
		const { id } = await newKey(tenant);
		const reached = gate();
		const goOn = gate();
		const pause = () => {
			reached.open();
			return goOn.opened;
		};
		const stalled = withStatement("keys.rotate", async (run) => {
			if (before) await pause();
			const rows = await run();
			await pause();
			return rows;
		});
		const asked = { id: "rotateKey", params: { key: id }, key: newIdempotencyKey(), token };
		const first = ask(stalled, asked);
		await reached.opened;
		await letAttemptsStall();
		const second = await ask(createServices(env), asked);
		const text = await second.text();
		expect(second.status, text).toBe(200);
		goOn.open();
		const late = await first;
		expect(late.status).toBe(200);
		expect(late.headers.get("idempotency-replayed")).toBe("true");
		expect(await late.text()).toBe(text);
		expect((await tenant.call("GET", `/v1/keys/${id}`)).json.version).toBe(2);
	});

	it("does not have its refusal kept while its successor may still succeed", async () => {
		const { id } = await newKey(tenant);
		const asked = { id: "rotateKey", params: { key: id }, key: newIdempotencyKey(), token };
		const first = gate();
		const second = gate();
		const reading = gate();
		// The first attempt sees a key that is scheduled for deletion, and takes its time to say so.
		await tenant.call("DELETE", `/v1/keys/${id}`);
		const refused = ask(
			withStatement("keys.byId", async (run) => {
				const rows = await run();
				reading.open();
				await first.opened;
				return rows;
			}),
			asked,
		);
		await reading.opened;
		await tenant.call("POST", `/v1/keys/${id}/restore`);
		await letAttemptsStall();
		const writing = gate();
		const successor = ask(
			withStatement("keys.rotate", async (run) => {
				writing.open();
				await second.opened;
				return run();
			}),
			asked,
		);
		await writing.opened;
		first.open();
		const early = await refused;
		expect(early.status).toBe(409);
		expect(await early.json()).toMatchObject({ code: "idempotency_running" });
		second.open();
		const answer = await successor;
		expect(answer.status).toBe(200);
		expect(await answer.json()).toMatchObject({ version: 2 });
	});
});

describe("an object that does not answer", () => {
	const json = { name: "unheard", algorithm: "Ed25519" };

	it("is a 503 before anything is done, and the request can be repeated", async () => {
		const asked = { id: "createKey", json, key: newIdempotencyKey(), token };
		const begin = () => Promise.reject(new Error("overloaded"));
		const before = await rowsOf(tenant.id);
		const refused = await ask(withEntries({ begin }), asked);
		expect(refused.status).toBe(503);
		expect(refused.headers.get("retry-after")).toBe("1");
		const problem = await refused.json<Record<string, string>>();
		expect(problem.code).toBe("unavailable");
		expect(problem.detail).toContain("Repeat the request with the same key");
		expect(await rowsOf(tenant.id)).toEqual(before);
		expect((await ask(createServices(env), asked)).status).toBe(201);
	});

	it("is a 503 within its time-out when it hangs, with a signature that nobody gets", async () => {
		const key = await newKey(tenant, "ES256");
		const sign = {
			id: "sign",
			params: { key: key.id },
			json: { message: hello },
			key: newIdempotencyKey(),
			token,
		};
		const start = Date.now();
		const refused = await ask(withEntries({ finish: () => new Promise(() => {}) }), sign);
		expect(Date.now() - start).toBeGreaterThanOrEqual(limits.idempotencyTimeoutMs - 50);
		expect(refused.status).toBe(503);
		expect(await refused.text()).not.toContain("signature");
	}, 20_000);

	it("is nothing to a request without a key", async () => {
		const services = withEntries({ begin: () => Promise.reject(new Error("overloaded")) });
		const { id } = await newKey(tenant);
		const answer = await ask(services, { id: "disableKey", params: { key: id }, token });
		expect(answer.status).toBe(200);
	});
});
