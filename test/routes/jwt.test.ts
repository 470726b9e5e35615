import { beforeAll, describe, expect, it } from "vitest";
import { fromBase64Url, utf8 } from "../../src/lib/bytes.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import { expectProblem } from "../support/answers.ts";
import { type Key, newKey, newKeyIn } from "../support/keys.ts";
import { judge } from "../support/material.ts";
import { type Answer, newTenant, type Tenant } from "../support/tenant.ts";

const names: Readonly<Partial<Record<AlgorithmName, string>>> = {
	Ed25519: "EdDSA",
	ES256: "ES256",
	ES384: "ES384",
	ES512: "ES512",
	ES256K: "ES256K",
	RS256: "RS256",
	PS256: "PS256",
	HS256: "HS256",
};

let tenant: Tenant;
let key: Key;
beforeAll(async () => {
	tenant = await newTenant();
	key = await newKey(tenant);
});

function jwt(json: unknown, of = key): Promise<Answer> {
	return tenant.call("POST", `/v1/keys/${of.id}/jwt`, { json });
}

/** With the JSON of the body written by hand, for what JSON.stringify would not write. */
function jwtOf(body: string): Promise<Answer> {
	const headers = { "Content-Type": "application/json" };
	return tenant.call("POST", `/v1/keys/${key.id}/jwt`, { body, headers });
}

function part(token: string, index: number): string {
	const bytes = fromBase64Url(token.split(".")[index] ?? "");
	if (!bytes) throw new Error(`part ${index} of the token is not base64url`);
	return new TextDecoder().decode(bytes);
}

function headerOf(answer: Answer) {
	expect(answer.status, answer.text).toBe(200);
	return JSON.parse(part(answer.json.token, 0));
}

function claimsOf(answer: Answer) {
	expect(answer.status, answer.text).toBe(200);
	return JSON.parse(part(answer.json.token, 1));
}

function now(): number {
	return Math.floor(Date.now() / 1000);
}

describe("POST /v1/keys/{key}/jwt", () => {
	it.each(Object.entries(names) as [AlgorithmName, string][])(
		"makes with %s a compact JWS of %s, which verifies",
		async (algorithm, alg) => {
			const signer = await newKey(tenant, algorithm);
			const answer = await jwt({ claims: { sub: "user-1" } }, signer);
			const { token, ...rest } = answer.json;
			const kid = `${signer.id}.1`;
			expect(rest).toEqual({ kid, keyId: signer.id, version: 1, algorithm });
			expect(headerOf(answer)).toEqual({ typ: "JWT", alg, kid });
			expect(token).toMatch(/^[\w-]+\.[\w-]+\.[\w-]+$/);
			const end = token.lastIndexOf(".");
			const signature = token.slice(end + 1);
			const json = { message: btoa(token.slice(0, end)), signature, encoding: "jws" };
			const checked = await tenant.call("POST", `/v1/keys/${signer.id}/verify`, { json });
			expect(checked.json).toEqual({ valid: true, version: 1 });
			if (algorithm === "HS256") return;
			const bytes = fromBase64Url(signature) ?? new Uint8Array();
			const signed = utf8(token.slice(0, end));
			expect(await judge(algorithm, signer.publicKey.jwk, signed, bytes)).toBe(true);
		},
	);

	it("names the version that signed in kid", async () => {
		const rotated = await newKey(tenant);
		await tenant.call("POST", `/v1/keys/${rotated.id}/rotate`);
		expect(headerOf(await jwt({ claims: {} }, rotated)).kid).toBe(`${rotated.id}.2`);
		const old = await jwt({ claims: {}, version: 1 }, rotated);
		expect(headerOf(old).kid).toBe(`${rotated.id}.1`);
		expect(old.json.version).toBe(1);
	});

	it("refuses BIP340, which JOSE does not know", async () => {
		const schnorr = await newKey(tenant, "BIP340");
		expectProblem(await jwt({ claims: {} }, schnorr), 422, "algorithm_unsupported", {
			says: ["BIP340", "JOSE"],
		});
		expect(algorithmNames.filter((name) => names[name] === undefined)).toEqual(["BIP340"]);
	});

	it.each([
		["disabled", "key_disabled"],
		["pending_deletion", "key_pending_deletion"],
	] as const)("refuses a key that is %s", async (state, code) => {
		expectProblem(await jwt({ claims: {} }, await newKeyIn(tenant, state)), 409, code);
	});
});

describe("claims", () => {
	it("are kept exactly, whatever JSON they are", async () => {
		const claims = {
			iat: 5,
			iss: "https://issuer.example",
			aud: ["a", "b"],
			nested: { deep: { list: [1, -2.5, 1e-7, true, false, null, {}, []], empty: "" } },
			größe: 'ü € 𝄞 \u2028 \u0000 \\ " /',
			constructor: "c",
			toString: "t",
			hasOwnProperty: { valueOf: 1 },
			"": "no name",
			"a.b/c~d": 0,
			big: "9007199254740993",
			safe: [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, 0.1, 5e-324],
		};
		expect(claimsOf(await jwt({ claims }))).toEqual(claims);
	});

	it("keep the order of their members, so that a token can be compared", async () => {
		const answer = await jwtOf('{"claims":{"z":1,"iat":2,"a":{"y":1,"b":2},"m":3}}');
		// iat is the service's to set, so it comes first.
		expect(part(answer.json.token, 1)).toBe('{"iat":2,"z":1,"a":{"y":1,"b":2},"m":3}');
	});

	it.each([
		["in a text", '{"s":"\\ud83d"}', "/claims/s"],
		["the second one", '{"s":"a\\ude00"}', "/claims/s"],
		["both in the wrong order", '{"s":"\\ude00\\ud83d"}', "/claims/s"],
		["deep inside", '{"z":1,"a":[{"b":["\\ud83d"]}]}', "/claims/a/0/b/0"],
		["in a name", '{"a\\ud83d":1}', "/claims/a\ufffd"],
		["in a name deep inside", '{"a":[{"\\ud83d":null}]}', "/claims/a/0/\ufffd"],
	])("are refused with half a surrogate pair: %s", async (_, claims, pointer) => {
		const answer = await jwtOf(`{"claims":${claims}}`);
		expectProblem(answer, 400, "invalid_request", { pointer, says: ["well-formed Unicode"] });
		expect(answer.text).not.toMatch(/\\ud[89a-f]/i);
	});

	it("are taken with a whole surrogate pair that is escaped", async () => {
		expect(claimsOf(await jwtOf('{"claims":{"s\\ud83d\\ude00":"\\ud83d\\ude00"}}'))).toMatchObject({
			"s😀": "😀",
		});
	});

	it("keep characters of several bytes that come in cut apart", async () => {
		const claims = '{"iat":1,"größe":"€ 𝄞","replaced":"\\ufffd"}';
		const bytes = utf8(`{"claims":${claims}}`);
		const body = new ReadableStream<Uint8Array>({
			start(controller) {
				for (const byte of bytes) controller.enqueue(Uint8Array.of(byte));
				controller.close();
			},
		});
		const headers = { "Content-Type": "application/json" };
		const answer = await tenant.call("POST", `/v1/keys/${key.id}/jwt`, { body, headers });
		expect(claimsOf(answer)).toEqual(JSON.parse(claims));
	});

	it("lose no member that is called __proto__, neither on top nor nested", async () => {
		const body =
			'{"claims":{"iat":1,"__proto__":{"admin":true},"a":{"__proto__":{"b":1}},"l":[{"__proto__":2}]}}';
		const answer = await jwtOf(body);
		if (answer.status === 400) {
			expectProblem(answer, 400, "invalid_request", { pointer: "/claims/__proto__" });
		} else {
			expect(part(answer.json.token, 1)).toBe(body.slice('{"claims":'.length, -1));
		}
	});

	it("do no harm with a member that is called __proto__", async () => {
		await jwtOf(
			'{"claims":{"__proto__":{"polluted":1,"iat":7,"exp":7},"constructor":{"prototype":{"polluted":1}}}}',
		);
		expect(({} as Record<string, unknown>).polluted).toBeUndefined();
		const answer = await jwtOf('{"claims":{"a":{"__proto__":{"iat":7,"exp":7}}}}');
		expect(claimsOf(answer).iat).toBeGreaterThan(7);
		expect(claimsOf(answer).exp).toBeUndefined();
	});

	it.each([
		["9007199254740993", "a whole number beyond 2^53"],
		["-9007199254740992", "one below -2^53"],
		["1e300", "one written with an exponent"],
		["12345678901234567890", "an id of twenty digits"],
		["1e400", "a number that is not finite"],
	])("are refused with %s: %s", async (number) => {
		for (const [claims, pointer] of [
			[`{"a":${number}}`, "/claims/a"],
			[`{"z":1,"a":[{"b":${number}}]}`, "/claims/a/0/b"],
		] as const) {
			const answer = await jwtOf(`{"claims":${claims}}`);
			expectProblem(answer, 400, "invalid_request", { pointer, says: ["2^53", "string"] });
		}
	});

	it.each([
		["claims that are missing", {}, "/claims", ["object"]],
		["a list of claims", { claims: [] }, "/claims", ["object"]],
		["claims as text", { claims: "{}" }, "/claims", ["object"]],
		["null", { claims: null }, "/claims", ["object"]],
		["a header that is a list", { claims: {}, header: [] }, "/header", ["object"]],
		["a life of no time", { claims: {}, expiresIn: 0 }, "/expiresIn", ["1", "0"]],
		["a life of half a second", { claims: {}, expiresIn: 0.5 }, "/expiresIn", ["0.5"]],
		[
			"a life of eleven years",
			{ claims: {}, expiresIn: 11 * 365 * 86_400 },
			"/expiresIn",
			["315360000"],
		],
		["a life as text", { claims: {}, expiresIn: "5m" }, "/expiresIn", ["number", '"5m"']],
	])("are refused: %s", async (_, json, pointer, says) => {
		expectProblem(await jwt(json), 400, "invalid_request", { pointer, says });
	});

	it("may be nested to the depth that a body may, not deeper", async () => {
		// The body and the claims are two levels of the sixteen.
		const nested = (depth: number) =>
			`{"claims":{"iat":1,"a":${"[".repeat(depth)}${"]".repeat(depth)}}}`;
		expect((await jwtOf(nested(14))).status).toBe(200);
		expectProblem(await jwtOf(nested(15)), 400, "too_deep", { says: ["16"] });
	});

	it("are refused in a body beyond 64 KiB", async () => {
		const answer = await jwt({ claims: { a: "x".repeat(65_536) } });
		expectProblem(answer, 413, "body_too_large", { says: ["65536"] });
	});
});

describe("the names in a JWT", () => {
	it.each([
		["iss", [1]],
		["sub", 5],
		["sub", null],
		["jti", {}],
		["aud", {}],
		["aud", null],
		["aud", ["a", 1]],
		["aud", [["a"]]],
	])("are no %s of %j (RFC 7519 section 4.1)", async (name, value) => {
		const answer = await jwt({ claims: { [name]: value } });
		expectProblem(answer, 400, "invalid_request", {
			pointer: `/claims/${name}`,
			says: ["RFC 7519"],
		});
	});

	it("are texts, and an aud is one or several", async () => {
		const names = { iss: "https://a", sub: "b", jti: "" };
		for (const aud of ["c", ["c", "d"], []]) {
			expect((await jwt({ claims: { ...names, aud } })).status).toBe(200);
		}
	});
});

describe("the times of a JWT", () => {
	it("are iat, now in whole seconds, and no exp", async () => {
		const before = now();
		const claims = claimsOf(await jwt({ claims: {} }));
		expect(Object.keys(claims)).toEqual(["iat"]);
		expect(claims.iat).toBeGreaterThanOrEqual(before);
		expect(claims.iat).toBeLessThanOrEqual(now());
	});

	it("have an exp that is expiresIn seconds after iat", async () => {
		const claims = claimsOf(await jwt({ claims: { sub: "a" }, expiresIn: 300 }));
		expect(claims.exp - claims.iat).toBe(300);
		expect(claims.sub).toBe("a");
	});

	it("count from now, whatever iat the claims have", async () => {
		const before = now();
		const claims = claimsOf(await jwt({ claims: { iat: 1_000 }, expiresIn: 60 }));
		expect(claims.iat).toBe(1_000);
		expect(claims.exp).toBeGreaterThanOrEqual(before + 60);
		expect(claims.exp).toBeLessThanOrEqual(now() + 60);
	});

	it("are the caller's own where they are among the claims", async () => {
		const claims = { iat: 1, nbf: 2, exp: 3 };
		expect(claimsOf(await jwt({ claims }))).toEqual(claims);
	});

	it("never replace an exp that the claims have without a word", async () => {
		const answer = await jwt({ claims: { exp: 3 }, expiresIn: 60 });
		expectProblem(answer, 400, "invalid_request", { says: ["exp"] });
	});
});

describe("more header members", () => {
	it("stand beside those of the service", async () => {
		const header = { typ: "at+jwt", cty: "x", "x-trace": { id: [1] } };
		expect(headerOf(await jwt({ claims: {}, header }))).toEqual({
			...header,
			alg: "EdDSA",
			kid: `${key.id}.1`,
		});
	});

	it.each(["alg", "kid", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "crit", "b64"])(
		"are refused when they are the service's: %s",
		async (name) => {
			const answer = await jwt({ claims: {}, header: { [name]: "none" } });
			expectProblem(answer, 400, "invalid_request", {
				pointer: `/header/${name}`,
				says: [`"${name}"`],
			});
		},
	);

	it("are refused with a number that a reader would change", async () => {
		const answer = await jwtOf('{"claims":{},"header":{"v":9007199254740993}}');
		expectProblem(answer, 400, "invalid_request", { pointer: "/header/v", says: ["2^53"] });
	});

	it("are refused with half a surrogate pair, in a text as in a name", async () => {
		for (const [header, pointer] of [
			['{"cty":"\\ud83d"}', "/header/cty"],
			['{"\\ud83d":1}', "/header/\ufffd"],
		] as const) {
			const answer = await jwtOf(`{"claims":{},"header":${header}}`);
			expectProblem(answer, 400, "invalid_request", { pointer, says: ["well-formed"] });
		}
	});

	it.each(["typ", "cty"])("are refused with a %s that is no string", async (name) => {
		for (const value of [5, null, ["JWT"]]) {
			const answer = await jwt({ claims: {}, header: { [name]: value } });
			expectProblem(answer, 400, "invalid_request", { pointer: `/header/${name}`, says: ["7515"] });
		}
	});

	it("lose no member that is called __proto__", async () => {
		const answer = await jwtOf('{"claims":{},"header":{"__proto__":{"alg":"none"}}}');
		if (answer.status === 400) {
			expectProblem(answer, 400, "invalid_request", { pointer: "/header/__proto__" });
		} else {
			expect(part(answer.json.token, 0)).toContain('"__proto__":{"alg":"none"}');
		}
	});
});
