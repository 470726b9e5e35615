import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import type { Caller } from "../../src/auth/tokens.ts";
import { toBase64, utf8 } from "../../src/lib/bytes.ts";
import { ok } from "../../src/lib/result.ts";
import { servicesOf } from "../../src/services.ts";
import * as signing from "../../src/signing/sign.ts";
import { expectProblem } from "../support/answers.ts";
import { base64Of, bytesOf, hello, type Key, newKey, signed } from "../support/keys.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
let ed25519: Key;
let es256: Key;
beforeAll(async () => {
	tenant = await newTenant();
	ed25519 = await newKey(tenant);
	es256 = await newKey(tenant, "ES256");
});

type Fields = Readonly<Record<string, unknown>>;

function signBatch(key: Key, items: unknown, fields: Fields = {}) {
	return tenant.call("POST", `/v1/keys/${key.id}/sign-batch`, { json: { items, ...fields } });
}

function verifyBatch(key: Key, items: unknown, fields: Fields = {}) {
	return tenant.call("POST", `/v1/keys/${key.id}/verify-batch`, { json: { items, ...fields } });
}

/** Items that can not be signed, each with the code of its error and what the detail must say. */
const badItems: readonly [string, unknown, string, RegExp][] = [
	["no object", "hello", "invalid_request", /object/],
	["null", null, "invalid_request", /object/],
	["a list", [], "invalid_request", /object/],
	["neither message nor digest", {}, "invalid_request", /one of the two/],
	["both", { message: hello, digest: bytesOf(32) }, "invalid_request", /not both/],
	["an unknown field", { message: hello, version: 1 }, "unknown_field", /\/version/],
	["bad base64", { message: "a b" }, "invalid_base64", /\/message.*RFC 4648/],
	["a message that is no text", { message: 5 }, "invalid_request", /\/message.*string/],
	["a digest of the wrong length", { digest: bytesOf(31) }, "invalid_digest_length", /32.*31/],
	[
		"a reference that is no text",
		{ message: hello, reference: 5 },
		"invalid_request",
		/\/reference/,
	],
	[
		"a reference of 257 characters",
		{ message: hello, reference: "r".repeat(257) },
		"invalid_request",
		/\/reference.*256/,
	],
	[
		"a message beyond 1 MiB",
		{ message: toBase64(new Uint8Array(1024 * 1024 + 1)) },
		"message_too_large",
		/1048576/,
	],
];

describe("POST /v1/keys/{key}/sign-batch", () => {
	it("signs 1,000 items, some of them bad, in their order and with their references", async () => {
		const bad = (i: number) => i % 10 === 3;
		const items = Array.from({ length: 1_000 }, (_, i) => ({
			message: bad(i) ? "***" : base64Of(`message ${i}`),
			reference: `order-${i}`,
		}));
		const answer = await signBatch(ed25519, items);
		expect(answer.status, answer.text.slice(0, 300)).toBe(200);
		const { results, ...head } = answer.json;
		expect(head).toEqual({
			keyId: ed25519.id,
			version: 1,
			algorithm: "Ed25519",
			encoding: "raw",
		});
		expect(results.map(({ reference }: { reference: string }) => reference)).toEqual(
			items.map(({ reference }) => reference),
		);
		for (const [i, result] of results.entries()) {
			if (bad(i)) expect(result.error.code).toBe("invalid_base64");
			else expect(result.error).toBeUndefined();
			expect(result.signature === undefined).toBe(bad(i));
		}
		for (const i of [0, 499, 999]) {
			const { signature } = await signed(tenant, ed25519.id, { message: items[i]?.message });
			expect(results[i].signature).toBe(signature);
		}
		const checked = await verifyBatch(
			ed25519,
			items.flatMap(({ message }, i) =>
				bad(i) ? [] : [{ message, signature: results[i].signature }],
			),
		);
		expect(checked.json.results).toHaveLength(900);
		expect(checked.json.results.every(({ valid }: { valid: boolean }) => valid)).toBe(true);
	}, 20_000);

	it.each(badItems)("gives an item an error of its own: %s", async (_, item, code, says) => {
		const answer = await signBatch(es256, [{ message: hello }, item, { digest: bytesOf(32) }]);
		expect(answer.status, answer.text).toBe(200);
		const [before, wrong, after] = answer.json.results;
		expect(before.signature).toEqual(expect.any(String));
		expect(after.signature).toEqual(expect.any(String));
		expect(wrong.signature).toBeUndefined();
		expect(Object.keys(wrong.error).sort()).toEqual(["code", "detail"]);
		expect(wrong.error.code).toBe(code);
		expect(wrong.error.detail).toMatch(says);
	});

	it("gives back the reference of an item that is bad", async () => {
		const items = [{ message: "***", reference: "bad one" }, { reference: "r".repeat(256) }];
		const { results } = (await signBatch(ed25519, items)).json;
		expect(results.map(({ reference }: { reference: string }) => reference)).toEqual([
			"bad one",
			"r".repeat(256),
		]);
	});

	it("gives back a reference of 256 characters whole, however many units of UTF-16 they are", async () => {
		const references = [`${"😀".repeat(128)}order-1`, "😀".repeat(256), `a${"😀".repeat(255)}`];
		const good = references.map((reference) => ({ message: hello, reference }));
		const bad = references.map((reference) => ({ message: "***", reference }));
		const answer = await signBatch(ed25519, [...good, ...bad]);
		expect(answer.text).not.toMatch(/\\ud[89a-f]/i);
		const { results } = answer.json;
		expect(results.map(({ reference }: { reference: string }) => reference)).toEqual([
			...references,
			...references,
		]);
	});

	it.each([
		["half a surrogate pair", "order-\ud800"],
		["a control character", "order\u0000"],
		["257 characters", "😀".repeat(257)],
	])("leaves a reference out that is itself what is wrong: %s", async (_, reference) => {
		const answer = await signBatch(ed25519, [{ message: hello, reference }]);
		expect(Object.keys(answer.json.results[0])).toEqual(["error"]);
		expect(answer.json.results[0].error.detail).toContain("/reference");
		const strings = [...answer.text.matchAll(/"(?:[^"\\]|\\.)*"/g)].map(([text]) =>
			JSON.parse(text),
		);
		expect(strings.every((text: string) => text.isWellFormed())).toBe(true);
	});

	it("tells each item alone that the algorithm signs no digest", async () => {
		const answer = await signBatch(ed25519, [{ digest: bytesOf(32) }, { message: hello }]);
		const [first, second] = answer.json.results;
		expect(first.error.code).toBe("digest_unsupported");
		expect(second.signature).toEqual((await signed(tenant, ed25519.id)).signature);
	});

	it("has no reference where none was sent, and no recovery id but for ES256K", async () => {
		const key = await newKey(tenant, "ES256K");
		expect(Object.keys((await signBatch(ed25519, [{ message: hello }])).json.results[0])).toEqual([
			"signature",
		]);
		const [result] = (await signBatch(key, [{ message: hello }])).json.results;
		expect([0, 1]).toContain(result.recoveryId);
	});

	it("refuses a key without its private half as a whole", async () => {
		const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
		const json = { name: "public", algorithm: "Ed25519", key: { kty: "OKP", crv: "Ed25519", x } };
		const imported = await tenant.call("POST", "/v1/keys/import", { json });
		const answer = await signBatch(imported.json, [{ message: hello }, { message: "***" }]);
		expectProblem(answer, 409, "key_public_only", { says: ['"public"'] });
	});

	it("signs with the version and the encoding that are named, all items alike", async () => {
		const key = await newKey(tenant, "ES256");
		await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		const items = [{ message: hello }, { digest: bytesOf(32) }];
		const answer = await signBatch(key, items, { version: 1, encoding: "der" });
		expect(answer.json).toMatchObject({ version: 1, encoding: "der" });
		const signatures = answer.json.results.map(({ signature }: { signature: string }) => signature);
		const withSignatures = items.map((item, i) => ({ ...item, signature: signatures[i] }));
		const checked = await verifyBatch(key, withSignatures, { version: 1, encoding: "der" });
		expect(checked.json.results).toEqual([
			{ valid: true, version: 1 },
			{ valid: true, version: 1 },
		]);
	});
});

describe("POST /v1/keys/{key}/verify-batch", () => {
	it("answers each item in its place: true, false, or an error", async () => {
		const { signature } = await signed(tenant, ed25519.id);
		const items = [
			{ message: hello, signature, reference: "right" },
			{ message: base64Of("other"), signature, reference: "wrong" },
			{ message: hello, signature: bytesOf(63), reference: "malformed" },
			{ message: hello, signature: "***", reference: "no base64" },
			{ message: hello, reference: "none" },
			{ signature, reference: "nothing signed" },
			5,
		];
		const { results } = (await verifyBatch(ed25519, items)).json;
		const shown = results.map((result: Fields & { error?: { code: string } }) => [
			result.reference,
			result.valid ?? result.error?.code,
		]);
		expect(shown).toEqual([
			["right", true],
			["wrong", false],
			["malformed", "malformed_signature"],
			["no base64", "invalid_base64"],
			["none", "invalid_request"],
			["nothing signed", "invalid_request"],
			[undefined, "invalid_request"],
		]);
		expect(results[0]).toEqual({ reference: "right", valid: true, version: 1 });
		expect(results[1]).toEqual({ reference: "wrong", valid: false });
	});

	it("verifies each item with the version that signed it", async () => {
		const key = await newKey(tenant);
		const first = await signed(tenant, key.id);
		await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		const second = await signed(tenant, key.id);
		const items = [first, second].map(({ signature }) => ({ message: hello, signature }));
		expect((await verifyBatch(key, items)).json.results).toEqual([
			{ valid: true, version: 1 },
			{ valid: true, version: 2 },
		]);
		expect((await verifyBatch(key, items, { version: 2 })).json.results).toEqual([
			{ valid: false },
			{ valid: true, version: 2 },
		]);
	});
});

describe.each([
	["sign-batch", signBatch],
	["verify-batch", verifyBatch],
])("POST /v1/keys/{key}/%s", (path, send) => {
	it.each([
		["no items", undefined, ["array"]],
		["an empty list", [], ["1"]],
		["an object for a list", {}, ["array"]],
		["1,001 items", Array.from({ length: 1_001 }, () => ({ message: "" })), ["1000"]],
	])("refuses %s", async (_, items, says) => {
		const answer = await send(ed25519, items);
		expectProblem(answer, 400, "invalid_request", { pointer: "/items", says });
	});

	it("refuses an unknown field and a version that is not there as a whole", async () => {
		const items = [{ message: hello, signature: bytesOf(64) }];
		const unknown = await send(ed25519, items, { algorithm: "ES256" });
		expectProblem(unknown, 400, "unknown_field", { pointer: "/algorithm" });
		const missing = await send(ed25519, items, { version: 2 });
		expectProblem(missing, 404, "version_not_found", { says: ["1 to 1", "2"] });
	});

	it("refuses an encoding that the algorithm has not as a whole", async () => {
		const items = [{ message: hello, signature: bytesOf(64) }];
		const answer = await send(ed25519, items, { encoding: "der" });
		expectProblem(answer, 422, "encoding_unsupported", { says: ["Ed25519", '"der"'] });
	});

	it("takes a body of up to 4 MiB, not more", async () => {
		const body = (spaces: number) => utf8(`{"items":[{}]${" ".repeat(spaces)}}`);
		const ask = (spaces: number) =>
			tenant.call("POST", `/v1/keys/${ed25519.id}/${path}`, {
				body: body(spaces),
				headers: { "Content-Type": "application/json" },
			});
		expect((await ask(4 * 1024 * 1024 - body(0).length)).status).toBe(200);
		const larger = await ask(4 * 1024 * 1024 - body(0).length + 1);
		expectProblem(larger, 413, "body_too_large", { says: ["4194304"] });
	});
});

describe("a batch of many items for a key of many versions", () => {
	it("is refused without a version, taken with one", async () => {
		const tenant = await newTenant();
		await tenant.call("POST", "/v1/keys", { json: { name: "turned", algorithm: "Ed25519" } });
		for (let i = 0; i < 2; i++) await tenant.call("POST", "/v1/keys/turned/rotate");
		const item = { message: "aGVsbG8=", signature: `${"A".repeat(86)}==` };
		const json = { items: Array.from({ length: 700 }, () => item) };
		const path = "/v1/keys/turned/verify-batch";
		const refused = await tenant.call("POST", path, { json });
		expect(refused.status).toBe(422);
		expect(refused.json.code).toBe("too_many_verifications");
		expect(refused.json.detail).toContain("700 items with 3 versions");
		const taken = await tenant.call("POST", path, { json: { ...json, version: 3 } });
		expect(taken.status).toBe(200);
		expect(taken.json.results).toHaveLength(700);
	});
});

describe("a batch that gets no turn", () => {
	const services = { ...servicesOf(env), batches: { run: async () => null } };
	const ofMany = Array.from({ length: 26 }, () => ok(utf8("hello")));
	const callerOf = ({ id }: Tenant): Caller => ({
		...{ tenant: id, tokenId: "", role: "signer", keyPatterns: null, rateLimit: null },
	});
	const request = <Item>(items: readonly Item[]) => ({ items, encoding: "raw" }) as const;

	it("is refused as overload, and nothing of it is done", async () => {
		const inputs = ofMany.map(({ value: bytes }) => ok({ kind: "message", bytes } as const));
		const signed = await signing.signBatch(services, callerOf(tenant), ed25519.id, request(inputs));
		expect(signed).toMatchObject({ ok: false, error: { code: "overloaded", retryAfterMs: 2_000 } });
	});

	it("is told at once that there is no such key", async () => {
		const none = await signing.signBatch(services, callerOf(tenant), "nobody's", request([]));
		expect(none).toMatchObject({ ok: false, error: { code: "key_not_found" } });
	});

	it("needs none where it is short", async () => {
		const inputs = ofMany
			.slice(1)
			.map(({ value: bytes }) => ok({ kind: "message", bytes } as const));
		const signed = await signing.signBatch(services, callerOf(tenant), ed25519.id, request(inputs));
		expect(signed.ok).toBe(true);
	});
});
