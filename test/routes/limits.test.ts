import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import * as z from "zod/mini";
import * as limits from "../../src/limits.ts";
import { admit } from "../../src/routes/admission.ts";
import { serve } from "../../src/routes/serve.ts";
import { signBatch } from "../../src/routes/signing.ts";
import { problem } from "../../src/schemas/answers/service.ts";
import { createServices, type Services } from "../../src/services.ts";
import { expectProblem } from "../support/answers.ts";
import { inBackground } from "../support/background.ts";
import { hello, newKey } from "../support/keys.ts";
import { type Answer, call, newTenant, type Tenant } from "../support/tenant.ts";

const hour = 3600;

/** A tenant with a key, and with these limits. */
async function limitedTenant(limits_config: unknown): Promise<Tenant> {
	const tenant = await newTenant();
	await newKey(tenant, "Ed25519", { name: "payments" });
	const answer = await tenant.call("PUT", "/v1/config", { json: { limits_config } });
	expect(answer.status, answer.text).toBe(200);
	return tenant;
}

function sign(tenant: Tenant, token?: string): Promise<Answer> {
	const json = { message: hello };
	return tenant.call("POST", "/v1/keys/payments/sign", { json, ...(token && { token }) });
}

/** What the headers tell, read as structured fields of the one form that we write. */
function limitOf({ headers }: Answer) {
	const policy = /^"([^"]+)";q=(\d+);w=(\d+)$/.exec(headers.get("ratelimit-policy") ?? "");
	const state = /^"([^"]+)";r=(\d+);t=(\d+)$/.exec(headers.get("ratelimit") ?? "");
	expect(policy?.[1]).toBe(state?.[1]);
	const [quota, window] = [Number(policy?.[2]), Number(policy?.[3])];
	const [remaining, reset] = [Number(state?.[2]), Number(state?.[3])];
	expect(headers.get("x-ratelimit-limit")).toBe(String(quota));
	expect(headers.get("x-ratelimit-remaining")).toBe(String(remaining));
	expect(headers.get("x-ratelimit-reset")).toBe(String(reset));
	return { name: policy?.[1], quota, window, remaining, reset };
}

/** A problem with the members that the OpenAPI document names, and no other. */
const documented = z.strictObject(problem.shape);

function expectLimited(answer: Answer, name: string, cost = 1): number {
	expectProblem(answer, 429, "rate_limited", { says: [`"${name}"`] });
	expect(answer.json["violated-policies"]).toEqual([name]);
	expect(documented.safeParse(answer.json).error).toBeUndefined();
	const retryAfter = Number(answer.headers.get("retry-after"));
	expect(retryAfter).toBeGreaterThanOrEqual(1);
	const limit = limitOf(answer);
	expect(limit.name).toBe(name);
	expect(limit.remaining).toBeLessThan(cost);
	return retryAfter;
}

describe("a limit on an operation", () => {
	const quota = 5;
	let tenant: Tenant;
	beforeAll(async () => {
		const sign = { quota, window_seconds: hour };
		tenant = await limitedTenant({ operations: { sign } });
	});

	it("counts down to nothing, and then is a 429 that says when there is more", async () => {
		const left: number[] = [];
		for (let i = 0; i < quota; i++) {
			const answer = await sign(tenant);
			expect(answer.status).toBe(200);
			const { remaining, ...rest } = limitOf(answer);
			expect(rest).toMatchObject({ name: "sign", quota, window: hour });
			left.push(remaining);
		}
		expect(left).toEqual([4, 3, 2, 1, 0]);
		const retryAfter = expectLimited(await sign(tenant), "sign");
		// A token comes every twelve minutes.
		expect(retryAfter).toBeGreaterThan(hour / quota - 60);
		expect(retryAfter).toBeLessThanOrEqual(hour / quota);
	});

	it("leaves other operations alone", async () => {
		expect((await tenant.call("GET", "/v1/keys/payments")).status).toBe(200);
		const json = { message: hello, signature: "A".repeat(86) };
		expect((await tenant.call("POST", "/v1/keys/payments/verify", { json })).status).toBe(200);
	});

	it("is another's as little as the tenant is", async () => {
		const other = await newTenant();
		await newKey(other, "Ed25519", { name: "payments" });
		expect((await sign(other)).status).toBe(200);
	});
});

describe("costs", () => {
	it("of a batch are those of its items, and one that no bucket holds is refused for good", async () => {
		const tenant = await limitedTenant({
			operations: { sign: { quota: 10, window_seconds: hour } },
		});
		const batch = (count: number) =>
			tenant.call("POST", "/v1/keys/payments/sign-batch", {
				json: { items: Array.from({ length: count }, () => ({ message: hello })) },
			});
		const taken = await batch(4);
		expect([taken.status, limitOf(taken).remaining]).toEqual([200, 6]);
		expectProblem(await batch(11), 422, "cost_above_limit");
		expect((await batch(5)).status).toBe(200);
		expectLimited(await batch(5), "sign", 5);
	});

	it("of a batch that is refused are nothing, and of one that can not be read those of a signature", async () => {
		const tenant = await limitedTenant({
			operations: { sign: { quota: 5, window_seconds: hour } },
		});
		const batch = (items: readonly unknown[]) =>
			tenant.call("POST", "/v1/keys/payments/sign-batch", { json: { items } });
		const items = (count: number) => Array.from({ length: count }, () => ({ message: hello }));
		for (let tries = 0; tries < 6; tries++) {
			expectProblem(await batch(items(6)), 422, "cost_above_limit");
		}
		expect(limitOf(await sign(tenant)).remaining).toBe(4);
		for (let tries = 0; tries < 6; tries++) expectLimited(await batch(items(5)), "sign", 5);
		expect(limitOf(await batch(items(3))).remaining).toBe(1);
		expectProblem(await batch([]), 400, "invalid_request");
		expectLimited(await batch(items(1)), "sign");
		expectLimited(await batch([]), "sign"); // whatever it is
	});

	it("of a batch that is large are looked for before its body is read", async () => {
		const tenant = await limitedTenant({
			operations: { sign: { quota: 1, window_seconds: hour } },
		});
		expect((await sign(tenant)).status).toBe(200);
		let pulls = 0;
		const pull = (controller: ReadableStreamDefaultController) => {
			pulls++;
			controller.close();
		};
		const raw = new Request("https://edgesign.test/", {
			method: "POST",
			headers: {
				Authorization: `Bearer ${await tenant.token("signer")}`,
				"Content-Type": "application/json",
				"Content-Length": String(limits.bodyBytesUnpaid + 1),
			},
			body: new ReadableStream({ pull }, { highWaterMark: 0 }),
		});
		const params = { key: "payments" };
		const refused = await serve(signBatch, createServices(env), raw, params, inBackground);
		expect([refused.status, pulls]).toEqual([429, 0]);
	});

	it("of a verification are half of a signature's", async () => {
		const tenant = await limitedTenant({
			operations: { verify: { quota: 2, window_seconds: hour } },
		});
		const json = { message: hello, signature: "A".repeat(86) };
		const verify = () => tenant.call("POST", "/v1/keys/payments/verify", { json });
		for (let i = 0; i < 4; i++) expect((await verify()).status).toBe(200);
		expectLimited(await verify(), "verify");
	});

	it("of a key are what its algorithm costs", async () => {
		const tenant = await limitedTenant({
			operations: { manage: { quota: 30, window_seconds: hour } },
		});
		const create = (name: string, algorithm: string) =>
			tenant.call("POST", "/v1/keys", { json: { name, algorithm } });
		// What was spent under the limit of before weighs a little: the new one is as full as that was.
		expect([28, 29]).toContain(limitOf(await create("small", "Ed25519")).remaining);
		expect([8, 9]).toContain(limitOf(await create("large", "RS256")).remaining);
		expectLimited(await create("larger", "RS256"), "manage", 20);
	});
});

describe("limits of roles and tokens", () => {
	it("hold for all tokens of the role together, and for no other role", async () => {
		const signer = { quota: 3, window_seconds: hour };
		const tenant = await limitedTenant({ roles: { signer } });
		const [one, two] = [await tenant.token("signer"), await tenant.token("signer")];
		for (const token of [one, two, one]) expect((await sign(tenant, token)).status).toBe(200);
		expectLimited(await sign(tenant, two), "signer");
		expect((await sign(tenant)).status).toBe(200);
	});

	it("hold for a token that has one of its own, and for no other token", async () => {
		const tenant = await newTenant();
		await newKey(tenant, "Ed25519", { name: "payments" });
		const json = { name: "ci", role: "signer", rateLimit: { quota: 2, windowSeconds: hour } };
		const made = await tenant.call("POST", "/v1/tokens", { json });
		const { token } = made.json;
		for (let i = 0; i < 2; i++) expect((await sign(tenant, token)).status).toBe(200);
		expectLimited(await sign(tenant, token), "token");
		expect((await sign(tenant, await tenant.token("signer"))).status).toBe(200);
	});

	it("a caller whose role may not do it takes nothing of the operation's limit", async () => {
		const tenant = await limitedTenant({
			operations: { sign: { quota: 2, window_seconds: hour } },
		});
		const verifier = await tenant.token("verifier");
		for (let i = 0; i < 5; i++) {
			expectProblem(await sign(tenant, verifier), 403, "role_forbidden");
		}
		for (let i = 0; i < 2; i++) expect((await sign(tenant)).status).toBe(200);
	});

	it("a caller whose role may not do it takes a read each time, until those are used up", async () => {
		const tenant = await limitedTenant({
			operations: { read: { quota: 1, window_seconds: hour } },
		});
		const verifier = await tenant.token("verifier");
		for (let i = 0; i < 5; i++) {
			expectProblem(await sign(tenant, verifier), 403, "role_forbidden");
		}
		expectLimited(await sign(tenant, verifier), "read");
	});
});

describe("the reserve", () => {
	it("is for signing: reads are refused while it lasts", async () => {
		const tenant = await limitedTenant({ tenant: { quota: 20, window_seconds: hour } });
		let read = await tenant.call("GET", "/v1/keys/payments");
		for (let i = 0; i < 200 && read.status === 200; i++) {
			read = await tenant.call("GET", "/v1/keys/payments");
		}
		expectLimited(read, "tenant");
		// A fifth of 20 tokens was kept.
		for (let i = 0; i < 4; i++) expect((await sign(tenant)).status).toBe(200);
		expectLimited(await sign(tenant), "tenant");
	});

	it("and a tenant that has used up everything can still take a key out of use", async () => {
		const tenant = await limitedTenant({ tenant: { quota: 10, window_seconds: hour } });
		let signed = await sign(tenant);
		for (let i = 0; i < 20 && signed.status === 200; i++) signed = await sign(tenant);
		expectLimited(signed, "tenant");
		expect((await tenant.call("POST", "/v1/keys/payments/disable")).status).toBe(200);
	});

	it("nor is an admin who raises the limit refused while signers use up all of it", async () => {
		const small = { quota: 10, window_seconds: hour };
		const tenant = await limitedTenant({ tenant: small, roles: { admin: small } });
		let signed = await sign(tenant);
		for (let i = 0; i < 20 && signed.status === 200; i++) signed = await sign(tenant);
		expect(signed.status).toBe(429);
		expectLimited(await tenant.call("GET", "/v1/keys/payments"), "tenant");
		const read = await tenant.call("GET", "/v1/config");
		expect([read.status, limitOf(read).name], read.text).toEqual([200, "configure"]);
		const changed = await tenant.call("PUT", "/v1/config?fence=true", { json: {} });
		expect([changed.status, limitOf(changed).name], changed.text).toEqual([200, "configure"]);
		// What the bucket had of the old limit it has of the new one: nearly nothing, but it fills fast.
		await expect.poll(async () => (await sign(tenant)).status).toBe(200);
	});
});

describe("a limit of who signs nothing", () => {
	it("is all theirs: nothing of it is kept for signing", async () => {
		const tenant = await limitedTenant({
			roles: { verifier: { quota: 1, window_seconds: hour } },
			reserve_percent: 90,
		});
		const token = await tenant.token("verifier");
		const json = { message: hello, signature: "A".repeat(86) };
		const verify = () => tenant.call("POST", "/v1/keys/payments/verify", { json, token });
		expect([(await verify()).status, (await verify()).status]).toEqual([200, 200]);
		expectLimited(await verify(), "verifier");
	});
});

describe("callers who are not signed in", () => {
	const headers = { "CF-Connecting-IP": "203.0.113.7" };

	it("have what is left of their address in every answer", async () => {
		const answer = await call("GET", "/v1/keys", { headers });
		expectProblem(answer, 401, "missing_token");
		const { name, quota, remaining } = limitOf(answer);
		expect({ name, quota }).toEqual({ name: "address", quota: limits.addressQuota });
		expect(remaining).toBeLessThan(quota);
	});

	/** Who are admitted by services of their own, and what an address has paid. */
	function newAddress(clock = () => 0) {
		const services = createServices(env, clock);
		const address = "203.0.113.8";
		const admitWith = async (token: string) => {
			const headers = { Authorization: `Bearer ${token}`, "CF-Connecting-IP": address };
			const request = new Request("https://edgesign.test/", { headers });
			return (await admit(services, request, { limit: null })).ok;
		};
		const paid = () => {
			const { limit } = services.addresses.spend(address, 0);
			return limit.quota - limit.remaining;
		};
		return { services, admitWith, paid };
	}
	const { addressUnknownTokenCost: high, addressLookUpCost: low } = limits;

	it("pay more for a token that nobody has than for one that is good", async () => {
		const tenant = await newTenant();
		const [one, other] = [newAddress(), newAddress()];
		const good = await tenant.token("signer");
		expect([await one.admitWith(good), one.paid()]).toEqual([true, low]);
		expect([await one.admitWith(good), one.paid()]).toEqual([true, low]);
		const nobodys = `es_${tenant.id}_${"A".repeat(43)}`;
		expect([await other.admitWith(nobodys), other.paid()]).toEqual([false, high]);
		expect([await other.admitWith(nobodys), other.paid()]).toEqual([false, 2 * high]);
	});

	it("pay for each as for any request when a token that was good is forgotten, and all who use it come at once", async () => {
		const tenant = await newTenant();
		const { services, admitWith, paid } = newAddress();
		const good = await tenant.token("signer");
		expect([await admitWith(good), paid()]).toEqual([true, low]);
		services.forgetTenant(tenant.id);
		// Far more than what the address has would be enough for, one by one.
		const crowd = Array.from({ length: 1_000 }, () => admitWith(good));
		expect(new Set(await Promise.all(crowd))).toEqual(new Set([true]));
		expect(paid()).toBe(low + crowd.length);
	});

	it("pay nothing while nobody can tell whether a token is good", async () => {
		const tenant = await newTenant();
		const { services, admitWith, paid } = newAddress();
		services.reads.read = () => Promise.reject(new Error("Postgres is away"));
		await expect(admitWith(await tenant.token("signer"))).rejects.toThrow("Postgres is away");
		expect(paid()).toBe(0);
	});

	it("pay for a token that has expired each time, though it is remembered", async () => {
		const tenant = await newTenant();
		let now = 0;
		const { admitWith, paid } = newAddress(() => now);
		const json = { name: "ci", role: "signer", expiresIn: 3600 };
		const { token } = (await tenant.call("POST", "/v1/tokens", { json })).json;
		expect([await admitWith(token), paid()]).toEqual([true, low]);
		now = Date.now() + 2 * 3_600_000;
		const before = paid();
		expect(await admitWith(token)).toBe(false);
		const first = paid() - before;
		expect(await admitWith(token)).toBe(false);
		expect([first, paid() - before]).toEqual([1, 1 + high]);
	});

	it("pay again for a token that was good, once it is not", async () => {
		const tenant = await newTenant();
		const { services, admitWith, paid } = newAddress();
		const made = await tenant.call("POST", "/v1/tokens", { json: { name: "ci", role: "signer" } });
		const { id, token } = made.json;
		expect([await admitWith(token), paid()]).toEqual([true, low]);
		expect((await tenant.call("DELETE", `/v1/tokens/${id}?fence=true`)).status).toBe(204);
		services.forgetTenant(tenant.id);
		expect([await admitWith(token), paid()]).toEqual([false, low + 1]);
		expect([await admitWith(token), paid()]).toEqual([false, low + 1 + high]);
	});

	it.each([
		["have nothing left", "yes", limits.addressQuota, "rate_limited"],
		["have asked too much elsewhere", "no", 0, "rate_limited"],
		["are counted by a limiter that does not answer", "unknown", 0, "unavailable"],
	] as const)("have nothing read for them where they %s", async (_, confirmed, spent, code) => {
		const tenant = await newTenant();
		const { services } = newAddress();
		let reads = 0;
		const counting: Services = {
			...services,
			addresses: { ...services.addresses, confirm: async () => confirmed },
			reads: {
				...services.reads,
				read: (...asked) => {
					reads++;
					return services.reads.read(...asked);
				},
			},
		};
		services.addresses.spend("203.0.113.8", spent);
		for (const token of [`es_${tenant.id}_${"A".repeat(43)}`, await tenant.token("signer")]) {
			const headers = { Authorization: `Bearer ${token}`, "CF-Connecting-IP": "203.0.113.8" };
			const request = new Request("https://edgesign.test/", { headers });
			const refused = await admit(counting, request, { limit: null });
			expect(refused).toMatchObject({ ok: false, error: { code } });
		}
		expect(reads).toBe(0);
	});

	it("are limited each by themselves", async () => {
		const services = createServices(env, () => 0);
		const left = (address: string) => {
			const { limit } = services.addresses.spend(address, 1);
			return limit.quota - limit.remaining;
		};
		expect([left("203.0.113.7"), left("203.0.113.7"), left("203.0.113.8")]).toEqual([1, 2, 1]);
	});
});

describe("every answer", () => {
	it.each([
		["200", "GET", "/v1/keys", undefined],
		["200", "GET", "/healthz", undefined],
		["400", "POST", "/v1/keys", { nonsense: true }],
		["404", "GET", "/v1/keys/nothing", undefined],
		["404", "GET", "/nothing", undefined],
		["405", "PUT", "/v1/keys", undefined],
		["409", "POST", "/v1/keys", { name: "taken", algorithm: "Ed25519" }],
	])("tells what is left, also with %s", async (status, method, path, json) => {
		const tenant = await newTenant();
		await newKey(tenant, "Ed25519", { name: "taken" });
		const answer = await tenant.call(method, path, json === undefined ? {} : { json });
		expect(String(answer.status)).toBe(status);
		expect(limitOf(answer).quota).toBeGreaterThan(0);
	});
});
