import { describe, expect, it } from "vitest";
import {
	decide,
	type Entry,
	fingerprintOf,
	type KeyedRequest,
	placeOf,
} from "../../src/idempotency/entry.ts";
import * as limits from "../../src/limits.ts";

const seed = Uint8Array.of(1);
const call = { name: "n", fingerprint: "same", seed: Uint8Array.of(2) };
const running: Entry = {
	fingerprint: "same",
	seed,
	attempt: 3,
	createdAt: 1_000,
	startedAt: 5_000,
	answer: null,
};
const end = 1_000 + limits.idempotencyKeptMs;

describe("a key that comes", () => {
	it("for the first time runs, with the seed that it brought", () => {
		const ticket = { name: "n", createdAt: 7, attempt: 1 };
		expect(decide(null, call, 7)).toEqual({ state: "run", ticket, seed: call.seed });
	});

	it("with another request is refused, running, done or released", () => {
		const other = { ...call, fingerprint: "other" };
		for (const entry of [
			running,
			{ ...running, answer: Uint8Array.of(9) },
			{ ...running, startedAt: null },
		]) {
			expect(decide(entry, other, 6_000)).toEqual({ state: "mismatch" });
		}
	});

	it("again gets the answer for as long as it is kept", () => {
		const done = { ...running, answer: Uint8Array.of(9) };
		for (const now of [5_000, end - 1]) {
			expect(decide(done, call, now)).toEqual({ state: "done", answer: Uint8Array.of(9) });
		}
		const ticket = { name: "n", createdAt: end, attempt: 1 };
		expect(decide(done, call, end)).toEqual({ state: "run", ticket, seed: call.seed });
	});

	it("while it runs is told so, and takes over when that has lasted too long", () => {
		const late = 5_000 + limits.idempotencyRunningMs;
		expect(decide(running, call, late - 1)).toEqual({ state: "running" });
		const ticket = { name: "n", createdAt: 1_000, attempt: 4 };
		expect(decide(running, call, late)).toEqual({ state: "run", ticket, seed });
	});

	it("after an attempt that ended without an answer runs at once, with the first one's seed", () => {
		const ticket = { name: "n", createdAt: 1_000, attempt: 4 };
		const released = { ...running, startedAt: null };
		expect(decide(released, call, 5_001)).toEqual({ state: "run", ticket, seed });
	});

	it("is not used anew while an attempt of its first use may still run", () => {
		const late = { ...running, startedAt: end - 1 };
		expect(decide(late, call, end)).toEqual({ state: "running" });
		const over = end - 1 + limits.idempotencyRunningMs;
		expect(decide(late, call, over)).toMatchObject({ state: "run", ticket: { attempt: 1 } });
	});
});

const request: KeyedRequest = {
	tenant: "acme",
	tokenId: "t1",
	key: "k1",
	method: "POST",
	target: "/v1/keys?a=b",
	ifMatch: null,
	json: { name: "a" },
};

describe("the place of a key", () => {
	it("is another one for another tenant, token or key, and the same for another request", () => {
		const { name } = placeOf(request);
		expect(name).toMatch(/^[0-9a-f]{64}$/);
		expect(placeOf({ ...request, method: "DELETE", json: 1 }).name).toBe(name);
		for (const other of [{ tenant: "acmf" }, { tokenId: "t2" }, { key: "k2" }]) {
			expect(placeOf({ ...request, ...other }).name).not.toBe(name);
		}
		expect(placeOf({ ...request, tenant: "acmet", tokenId: "1" }).name).not.toBe(name);
	});

	it("is in one of the tenant's objects, all of which are used", () => {
		const objects = new Set(
			Array.from({ length: 500 }, (_, i) => placeOf({ ...request, key: `k${i}` }).object),
		);
		expect([...objects].every((object) => /^acme\/\d+$/.test(object))).toBe(true);
		expect(objects.size).toBe(limits.idempotencyShards);
	});
});

describe("the fingerprint of a request", () => {
	it("is the same for the same request, whoever sends it", async () => {
		const fingerprint = await fingerprintOf(request);
		expect(fingerprint).toMatch(/^[0-9a-f]{64}$/);
		expect(await fingerprintOf({ ...request, json: { name: "a" }, tokenId: "t2" })).toBe(
			fingerprint,
		);
	});

	it("is another one for another method, path, query, If-Match or body", async () => {
		const requests = [
			request,
			{ ...request, method: "PATCH" },
			{ ...request, target: "/v1/keys?a=c" },
			{ ...request, target: "/v1/keys" },
			{ ...request, ifMatch: '"1"' },
			{ ...request, ifMatch: '"2"' },
			{ ...request, ifMatch: "" },
			{ ...request, json: { name: "b" } },
			{ ...request, json: {} },
			{ ...request, json: undefined },
			{ ...request, json: null },
		];
		const fingerprints = await Promise.all(requests.map(fingerprintOf));
		expect(new Set(fingerprints).size).toBe(requests.length);
	});

	it("can not be compared with a guess by who does not know the key", async () => {
		const other = await fingerprintOf({ ...request, key: "k2" });
		expect(other).not.toBe(await fingerprintOf(request));
	});
});
