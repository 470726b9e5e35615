import { beforeAll, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/errors.ts";
import * as limits from "../../src/limits.ts";
import { expectProblem } from "../support/answers.ts";
import { type Key, newKey } from "../support/keys.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

type Fields = Readonly<Record<string, unknown>>;
type Wrong = readonly [string, Fields, ErrorCode, string, readonly string[]];

const manyTags = Object.fromEntries(
	Array.from({ length: limits.tagsPerKey + 1 }, (_, i) => [`tag-${i}`, ""]),
);

const wrongNames: readonly Wrong[] = [
	["a name that is missing", { name: undefined }, "invalid_request", "/name", ["string"]],
	["a name that is no text", { name: 5 }, "invalid_request", "/name", ["string", "5"]],
	["an empty name", { name: "" }, "invalid_request", "/name", ['""']],
	["a space in the name", { name: "a b" }, "invalid_request", "/name", ["letters", '"a b"']],
	["a slash in the name", { name: "a/b" }, "invalid_request", "/name", ["letters", '"a/b"']],
	["a name that begins with a dot", { name: ".a" }, "invalid_request", "/name", ["begin", '".a"']],
	["a name with a line feed", { name: "a\n" }, "invalid_request", "/name", ["letters"]],
	["a name with a NUL", { name: "a\u0000" }, "invalid_request", "/name", ["letters"]],
	[
		"a name of letters beyond ASCII",
		{ name: "schlüssel" },
		"invalid_request",
		"/name",
		["letters"],
	],
	[
		"a name of 129 characters",
		{ name: "a".repeat(129) },
		"invalid_request",
		"/name",
		["128", "129"],
	],
	[
		"a name that looks like an id",
		{ name: "01900000-0000-7000-8000-000000000001" },
		"invalid_request",
		"/name",
		["form of an id"],
	],
];

const wrongFields: readonly Wrong[] = [
	["an unknown field", { nmae: "x" }, "unknown_field", "/nmae", []],
	["an unknown field with a slash", { "a/~b": 1 }, "unknown_field", "/a~1~0b", []],
	["an unknown field __proto__", JSON.parse('{"__proto__":{}}'), "unknown_field", "/__proto__", []],
	["tags that are a list", { tags: [] }, "invalid_request", "/tags", ["object"]],
	["a tag that is no text", { tags: { a: 1 } }, "invalid_request", "/tags/a", ["text", "1"]],
	["a tag name with a space", { tags: { "a b": "" } }, "invalid_request", "/tags/a b", ["letters"]],
	["an empty tag name", { tags: { "": "" } }, "invalid_request", "/tags/", []],
	[
		"a tag name that would be lost",
		JSON.parse('{"tags":{"__proto__":"x"}}'),
		"invalid_request",
		"/tags/__proto__",
		[],
	],
	[
		"a tag value of 257 characters",
		{ tags: { a: "x".repeat(257) } },
		"invalid_request",
		"/tags/a",
		["256"],
	],
	["33 tags", { tags: manyTags }, "invalid_request", "/tags", ["32"]],
	["a NUL in a tag", { tags: { a: "x\u0000" } }, "invalid_request", "/tags/a", []],
	["half a surrogate pair in a tag", { tags: { a: "\ud83d" } }, "invalid_request", "/tags/a", []],
];

describe("POST /v1/keys with a body that is wrong", () => {
	it.each([
		...wrongNames,
		...wrongFields,
		[
			"an unknown algorithm",
			{ algorithm: "Ed448" },
			"invalid_request",
			"/algorithm",
			["Ed25519", '"Ed448"'],
		],
		[
			"an algorithm's other name",
			{ algorithm: "EdDSA" },
			"invalid_request",
			"/algorithm",
			['"EdDSA"'],
		],
		["no algorithm", { algorithm: undefined }, "invalid_request", "/algorithm", ["Ed25519"]],
		[
			"half a modulus length",
			{ modulusLength: 2048.5 },
			"invalid_request",
			"/modulusLength",
			["2048.5"],
		],
		[
			"a modulus length as text",
			{ modulusLength: "2048" },
			"invalid_request",
			"/modulusLength",
			["number"],
		],
	] as const satisfies readonly Wrong[])("refuses %s", async (_, fields, code, pointer, says) => {
		// Not a spread: __proto__ has to stay a member of its own.
		const json = Object.defineProperties(
			{ name: "wrong", algorithm: "Ed25519" },
			Object.getOwnPropertyDescriptors(fields),
		);
		const fresh = await newTenant();
		const answer = await fresh.call("POST", "/v1/keys", { json });
		expectProblem(answer, 400, code, { pointer, says });
		expect((await fresh.call("GET", "/v1/keys")).json.keys).toEqual([]);
	});

	it("names every field that is wrong, and twenty at the most", async () => {
		const two = await tenant.call("POST", "/v1/keys", { json: { name: 5, algorithm: "x", y: 1 } });
		expect(two.json.errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
			"/name",
			"/algorithm",
			"/y",
		]);
		const json = Object.fromEntries(Array.from({ length: 50 }, (_, i) => [`field-${i}`, i]));
		const many = await tenant.call("POST", "/v1/keys", { json });
		expect(many.json.errors.length).toBeLessThanOrEqual(limits.fieldErrorsShown + 2);
	});

	it("repeats a long unknown name shortened", async () => {
		const answer = await tenant.call("POST", "/v1/keys", { json: { ["x".repeat(5_000)]: 1 } });
		expect(answer.text.length).toBeLessThan(2_000);
	});
});

describe("a change with If-None-Match", () => {
	it.each([
		["POST", "", { name: "conditional", algorithm: "Ed25519" }],
		["PATCH", "/unconditional", { tags: { a: "b" } }],
		["POST", "/unconditional/rotate", undefined],
		["POST", "/unconditional/disable", undefined],
		["DELETE", "/unconditional", undefined],
	])("is refused and not made: %s /v1/keys%s", async (method, path, json) => {
		const fresh = await newTenant();
		await newKey(fresh, "Ed25519", { name: "unconditional" });
		const before = (await fresh.call("GET", "/v1/keys")).json;
		for (const value of ["*", '"1"']) {
			const options = { json, headers: { "If-None-Match": value } };
			const answer = await fresh.call(method, `/v1/keys${path}`, options);
			expectProblem(answer, 412, "precondition_failed", { says: ["If-None-Match"] });
		}
		expect((await fresh.call("GET", "/v1/keys")).json).toEqual(before);
	});
});

describe("a name that is in use", () => {
	let key: Key;
	beforeAll(async () => {
		key = await newKey(tenant, "Ed25519", { name: "taken" });
	});

	it("is refused for a new key, and nothing of that remains", async () => {
		const json = { name: "taken", algorithm: "ES256" };
		const answer = await tenant.call("POST", "/v1/keys", { json });
		expectProblem(answer, 409, "key_name_taken", { says: ['"taken"'] });
		expect((await tenant.call("GET", "/v1/keys/taken")).json).toEqual(key);
		const orphans = await ownerSql().query(
			`select 1 from key_versions v where v.tenant_id = $1
			and not exists (select 1 from keys k where k.tenant_id = v.tenant_id and k.id = v.key_id)`,
			[tenant.id],
		);
		expect(orphans).toEqual([]);
	});

	it("is refused for a key that is imported", async () => {
		const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
		const json = { name: "taken", algorithm: "Ed25519", key: jwk };
		const answer = await tenant.call("POST", "/v1/keys/import", { json });
		expectProblem(answer, 409, "key_name_taken", { says: ['"taken"'] });
	});

	it("is refused for a key that is renamed", async () => {
		const other = await newKey(tenant);
		const answer = await tenant.call("PATCH", `/v1/keys/${other.id}`, { json: { name: "taken" } });
		expectProblem(answer, 409, "key_name_taken", { says: ['"taken"'] });
		expect((await tenant.call("GET", `/v1/keys/${other.id}`)).json).toEqual(other);
	});

	it("may be the key's own: a rename to it changes nothing", async () => {
		const answer = await tenant.call("PATCH", "/v1/keys/taken", { json: { name: "taken" } });
		expect(answer.status).toBe(200);
	});

	it("is still in use while its key waits for its deletion, and in other case it is another", async () => {
		await newKey(tenant, "Ed25519", { name: "Taken" });
		const doomed = await newKey(tenant, "Ed25519", { name: "doomed" });
		await tenant.call("DELETE", `/v1/keys/${doomed.id}`);
		const again = await tenant.call("POST", "/v1/keys", {
			json: { name: "doomed", algorithm: "Ed25519" },
		});
		expectProblem(again, 409, "key_name_taken");
	});

	it("goes to one of many who ask at once", async () => {
		const json = { name: "raced", algorithm: "Ed25519" };
		const answers = await Promise.all(
			Array.from({ length: 8 }, () => tenant.call("POST", "/v1/keys", { json })),
		);
		expect(answers.map(({ status }) => status).sort()).toEqual([201, ...Array(7).fill(409)]);
	});
});

describe("PATCH /v1/keys/{key}", () => {
	let key: Key;
	beforeAll(async () => {
		key = await newKey(tenant);
		await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
	});

	it.each([
		["nothing to change", {}, "invalid_request", "", ["at least one"]],
		["a field that can not be changed", { algorithm: "ES256" }, "unknown_field", "/algorithm", []],
		["the state", { state: "disabled" }, "unknown_field", "/state", []],
		["a minimum of 0", { minSignVersion: 0 }, "invalid_request", "/minSignVersion", ["1", "0"]],
		[
			"a minimum as text",
			{ minSignVersion: "1" },
			"invalid_request",
			"/minSignVersion",
			["number"],
		],
		["half a version", { minVerifyVersion: 1.5 }, "invalid_request", "/minVerifyVersion", ["1.5"]],
		[
			"a minimum of 1001",
			{ minVerifyVersion: 1001 },
			"invalid_request",
			"/minVerifyVersion",
			["1000", "1001"],
		],
	] as const satisfies readonly Wrong[])("refuses %s", async (_, json, code, pointer, says) => {
		const answer = await tenant.call("PATCH", `/v1/keys/${key.id}`, { json });
		expectProblem(answer, 400, code, { pointer, says });
	});

	it.each(wrongNames.slice(1))("refuses %s", async (_, json, code, pointer, says) => {
		const answer = await tenant.call("PATCH", `/v1/keys/${key.id}`, { json });
		expectProblem(answer, 400, code, { pointer, says });
	});

	it.each([
		[{ minSignVersion: 3, minVerifyVersion: 1 }, "got 1 and 3"],
		[{ minVerifyVersion: 2 }, "got 2 and 1"],
		[{ minVerifyVersion: 2, minSignVersion: 1 }, "got 2 and 1"],
		[{ minVerifyVersion: 1000, minSignVersion: 1000 }, "got 1000 and 1000"],
	])("refuses minimum versions that do not fit: %j", async (json, got) => {
		const answer = await tenant.call("PATCH", `/v1/keys/${key.id}`, { json });
		const rule = "1 <= minVerifyVersion <= minSignVersion <= 2";
		expectProblem(answer, 422, "invalid_minimum_version", { says: [rule, got] });
		const after = await tenant.call("GET", `/v1/keys/${key.id}`);
		expect(after.json).toMatchObject({ minSignVersion: 1, minVerifyVersion: 1 });
	});

	it("changes nothing at all when one of the fields does not fit", async () => {
		const json = { tags: { a: "1" }, minSignVersion: 3 };
		const answer = await tenant.call("PATCH", `/v1/keys/${key.id}`, { json });
		expectProblem(answer, 422, "invalid_minimum_version");
		expect((await tenant.call("GET", `/v1/keys/${key.id}`)).json.tags).toEqual({});
	});
});

describe("{key} in the path", () => {
	it.each([
		["a name that is not there", "nobody"],
		["an id that is not there", "01900000-0000-7000-8000-000000000009"],
		["an id in capitals", "01900000-0000-7000-8000-00000000000A"],
		["a text that is no UTF-8", "%ff"],
		["a text that no key can be called", "%22%27%3B--"],
		["half of one name", "tak"],
	])("finds nothing by %s", async (_, ref) => {
		const answer = await tenant.call("GET", `/v1/keys/${ref}`);
		expectProblem(answer, 404, "key_not_found");
	});

	it.each([
		["a NUL", "%00"],
		["a line feed", "pay%0aments"],
	])("refuses %s, which no name and no id has", async (_, ref) => {
		const answer = await tenant.call("GET", `/v1/keys/${ref}`);
		expectProblem(answer, 400, "invalid_request", { pointer: "/key", says: ["control"] });
	});

	it("refuses one of 129 characters", async () => {
		const answer = await tenant.call("GET", `/v1/keys/${"a".repeat(129)}`);
		expectProblem(answer, 400, "invalid_request", { pointer: "/key", says: ["128"] });
	});

	it.each(["version=0", "version=-1", "version=1.0", "version=x", "version=10000"])(
		"refuses %s of the public half",
		async (query) => {
			const key = await newKey(tenant);
			const answer = await tenant.call("GET", `/v1/keys/${key.id}/public?${query}`);
			const value = query.slice("version=".length);
			expectProblem(answer, 400, "invalid_request", {
				pointer: "/version",
				says: ["whole number from 1 to 1000", `"${value}"`],
			});
		},
	);

	it("refuses a format that there is not", async () => {
		const key = await newKey(tenant);
		const answer = await tenant.call("GET", `/v1/keys/${key.id}/public?format=der`);
		expectProblem(answer, 400, "invalid_request", { pointer: "/format", says: ["pem", '"der"'] });
	});
});

describe("GET /v1/keys with bytes that Postgres has no text for", () => {
	it.each(["prefix=%00", "tag=a:%00"])("finds nothing or refuses by %s", async (query) => {
		const answer = await tenant.call("GET", `/v1/keys?${query}`);
		expect(answer.status, answer.text).toBeLessThan(500);
		if (answer.status === 200) expect(answer.json.keys).toEqual([]);
	});
});
