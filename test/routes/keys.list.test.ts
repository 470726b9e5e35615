import { beforeAll, describe, expect, it } from "vitest";
import { toBase64Url, utf8 } from "../../src/lib/bytes.ts";
import { expectProblem } from "../support/answers.ts";
import { deletionIsDue, type Key, newKey } from "../support/keys.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

/** Every page of a list, one by one. */
async function pagesOf(tenant: Tenant, query: string, token?: string): Promise<Key[][]> {
	const pages: Key[][] = [];
	let cursor: string | null = "";
	while (cursor !== null) {
		const path = `/v1/keys?${query}${cursor === "" ? "" : `&cursor=${cursor}`}`;
		const answer = await tenant.call("GET", path, token === undefined ? {} : { token });
		expect(answer.status, answer.text).toBe(200);
		pages.push(answer.json.keys);
		cursor = answer.json.nextCursor;
		if (pages.length > 20) throw new Error("the list does not end");
	}
	return pages;
}

async function namesOf(tenant: Tenant, query: string, token?: string): Promise<string[]> {
	return (await pagesOf(tenant, query, token)).flat().map(({ name }) => name);
}

describe("GET /v1/keys by pages", () => {
	let tenant: Tenant;
	const made: Key[] = [];
	beforeAll(async () => {
		tenant = await newTenant();
		for (let i = 0; i < 7; i++) made.push(await newKey(tenant));
	});

	it.each([
		[1, [1, 1, 1, 1, 1, 1, 1]],
		[2, [2, 2, 2, 1]],
		[3, [3, 3, 1]],
		[7, [7]],
		[200, [7]],
	])("shows pages of %s in the order of making, each key once", async (limit, sizes) => {
		const pages = await pagesOf(tenant, `limit=${limit}`);
		expect(pages.map((page) => page.length)).toEqual(sizes);
		expect(pages.flat().map(({ id }) => id)).toEqual(made.map(({ id }) => id));
	});

	it("shows what a key is, without its public half", async () => {
		const [[first]] = (await pagesOf(tenant, "limit=1")) as [[Key]];
		const { publicKey, ...summary } = made[0] as Key;
		expect(publicKey).not.toBeNull();
		expect(first).toEqual(summary);
	});

	it("goes on after the key of the cursor, also when that key is gone", async () => {
		const other = await newTenant();
		const keys = [await newKey(other), await newKey(other), await newKey(other)];
		const page = await other.call("GET", "/v1/keys?limit=2");
		await deletionIsDue(other, keys[1]?.id ?? "");
		const next = await other.call("GET", `/v1/keys?limit=2&cursor=${page.json.nextCursor}`);
		expect(next.json.keys.map(({ id }: Key) => id)).toEqual([keys[2]?.id]);
		expect(next.json.nextCursor).toBeNull();
	});

	it("shows keys that are made while someone pages", async () => {
		const other = await newTenant();
		await newKey(other);
		await newKey(other);
		const page = await other.call("GET", "/v1/keys?limit=1");
		const late = await newKey(other);
		const rest = await namesOf(other, `limit=5&cursor=${page.json.nextCursor}`.replace(/&$/, ""));
		expect(rest).toContain(late.name);
	});

	it("refuses a second question mark, and takes no name behind it for another one", async () => {
		const answer = await tenant.call("GET", "/v1/keys??limit=1");
		expectProblem(answer, 400, "unknown_field", { pointer: "/?limit" });
	});

	it.each(["prefix=%ff", "prefix=a%", "prefix=%ED%A0%80", "%ff=a"])(
		"refuses %s, which is no text",
		async (query) => {
			const answer = await tenant.call("GET", `/v1/keys?${query}`);
			expectProblem(answer, 400, "invalid_request", { says: ["percent-encoding of UTF-8"] });
		},
	);

	it("is an empty page for a tenant without keys", async () => {
		const answer = await (await newTenant()).call("GET", "/v1/keys");
		expect(answer.json).toEqual({ keys: [], nextCursor: null });
	});

	it.each([
		["no base64", "%25%25"],
		["no id", toBase64Url(utf8("payments"))],
		["an id that is cut off", toBase64Url(utf8("01900000-0000-7000-8000-00000000000"))],
		["bytes that are no text", toBase64Url(new Uint8Array(36).fill(0xff))],
		["nothing", ""],
	])("refuses a cursor that is %s", async (_, cursor) => {
		const answer = await tenant.call("GET", `/v1/keys?cursor=${cursor}`);
		expectProblem(answer, 400, "invalid_cursor", { says: ["nextCursor"] });
	});

	it.each([
		["limit=0", "/limit", ["whole number from 1", '"0"']],
		["limit=-1", "/limit", ["whole number from 1", '"-1"']],
		["limit=2.5", "/limit", ["whole number from 1", '"2.5"']],
		["limit=201", "/limit", ["whole number from 1 to 200", '"201"']],
		["limit=1001", "/limit", ["whole number from 1 to 200", '"1001"']],
		["limit=5&limit=6", "/limit", []],
		[`cursor=${"A".repeat(97)}`, "/cursor", ["96"]],
		[`${"tag=a:b&".repeat(32)}tag=c:d`, "/tag", ["32 times at the most"]],
	])("refuses %s", async (query, pointer, says) => {
		const answer = await tenant.call("GET", `/v1/keys?${query}`);
		expectProblem(answer, 400, "invalid_request", { pointer, says });
	});
});

describe("GET /v1/keys with filters", () => {
	let tenant: Tenant;
	beforeAll(async () => {
		tenant = await newTenant();
		const make = (name: string, algorithm: "Ed25519" | "ES256", tags: Record<string, string>) =>
			newKey(tenant, algorithm, { name, tags });
		await make("pay-eu", "Ed25519", { team: "pay", region: "eu" });
		await make("pay-us", "ES256", { team: "pay", region: "us", note: "a:b" });
		await make("paying", "Ed25519", {});
		await make("off", "ES256", { team: "ops" });
		await make("gone", "Ed25519", { team: "ops" });
		await tenant.call("POST", "/v1/keys/off/disable");
		await tenant.call("DELETE", "/v1/keys/gone");
	});

	it.each([
		["", ["pay-eu", "pay-us", "paying", "off", "gone"]],
		["state=enabled", ["pay-eu", "pay-us", "paying"]],
		["state=disabled", ["off"]],
		["state=pending_deletion", ["gone"]],
		["algorithm=Ed25519", ["pay-eu", "paying", "gone"]],
		["algorithm=HS256", []],
		["prefix=pay", ["pay-eu", "pay-us", "paying"]],
		["prefix=pay-", ["pay-eu", "pay-us"]],
		["prefix=", ["pay-eu", "pay-us", "paying", "off", "gone"]],
		["prefix=ay", []],
		["tag=team:pay", ["pay-eu", "pay-us"]],
		["tag=team:pay&tag=region:us", ["pay-us"]],
		["tag=note:a:b", ["pay-us"]],
		["tag=team:", []],
		["tag=nothing:pay", []],
		["state=enabled&algorithm=Ed25519&prefix=pay-&tag=region:eu", ["pay-eu"]],
	])("%s finds %j", async (query, names) => {
		expect(await namesOf(tenant, query)).toEqual(names);
		expect(await namesOf(tenant, `${query}&limit=1`)).toEqual(names);
	});

	it.each(["%", "_", "p_y", "\\", "pay%25", "*"])(
		"takes the wildcard in prefix=%s as itself",
		async (prefix) => {
			expect(await namesOf(tenant, `prefix=${encodeURIComponent(prefix)}`)).toEqual([]);
		},
	);

	it.each([
		["state=gone", "/state", ["enabled", '"gone"']],
		["algorithm=Ed448", "/algorithm", ["Ed25519", '"Ed448"']],
		["tag=team", "/tag", ["name:value"]],
		["tag=:pay", "/tag", ["name:value"]],
		["tag=team:pay&tag=team:build", "/tag", ["one value"]],
		[`prefix=${"a".repeat(129)}`, "/prefix", ["128"]],
	])("refuses %s", async (query, pointer, says) => {
		const answer = await tenant.call("GET", `/v1/keys?${query}`);
		expectProblem(answer, 400, "invalid_request", { pointer, says });
	});

	it("refuses a filter that it does not know", async () => {
		const answer = await tenant.call("GET", "/v1/keys?status=enabled");
		expectProblem(answer, 400, "unknown_field", { pointer: "/status" });
	});

	it("finds nothing by a tag that no key can have", async () => {
		expect(await namesOf(tenant, "tag=__proto__:x")).toEqual([]);
	});
});

describe("GET /v1/keys with a token for some keys", () => {
	let tenant: Tenant;
	beforeAll(async () => {
		tenant = await newTenant();
		for (const name of ["pay-1", "pay-2", "pay_3", "paX1", "ops-1", "ops-2", "PAY-1"]) {
			await newKey(tenant, "Ed25519", { name });
		}
	});

	it.each([
		[["pay-*"], ["pay-1", "pay-2"]],
		[["pay_*"], ["pay_3"]],
		[["*-1"], ["pay-1", "ops-1", "PAY-1"]],
		[
			["ops-1", "pay_3"],
			["pay_3", "ops-1"],
		],
		[["*"], ["pay-1", "pay-2", "pay_3", "paX1", "ops-1", "ops-2", "PAY-1"]],
		[["p*y*3", "nothing"], ["pay_3"]],
		[["pay"], []],
	])("shows those of %j only, page by page", async (keys, names) => {
		const token = await tenant.token("auditor", { keys });
		expect(await namesOf(tenant, "limit=1", token)).toEqual(names);
		expect(await namesOf(tenant, "", token)).toEqual(names);
	});

	it("puts the other filters on top", async () => {
		const token = await tenant.token("signer", { keys: ["*-1"] });
		expect(await namesOf(tenant, "prefix=ops", token)).toEqual(["ops-1"]);
	});

	it("lets an admin make, import and rename only into its patterns", async () => {
		const token = await tenant.token("admin", { keys: ["team-*"] });
		const create = (name: string) =>
			tenant.call("POST", "/v1/keys", { token, json: { name, algorithm: "Ed25519" } });
		expect((await create("team-1")).status).toBe(201);
		expectProblem(await create("other"), 403, "key_out_of_scope", { says: ['"other"'] });
		const renamed = await tenant.call("PATCH", "/v1/keys/team-1", {
			token,
			json: { name: "other" },
		});
		expectProblem(renamed, 403, "key_out_of_scope", { says: ['"other"'] });
		const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
		const json = { name: "other", algorithm: "Ed25519", key: jwk };
		const imported = await tenant.call("POST", "/v1/keys/import", { token, json });
		expectProblem(imported, 403, "key_out_of_scope", { says: ['"other"'] });
	});
});

describe("GET /v1/keys of another tenant", () => {
	it("shows none of them, whatever the cursor", async () => {
		const [mine, theirs] = await Promise.all([newTenant(), newTenant()]);
		await newKey(theirs, "Ed25519", { name: "shared", tags: { a: "1" } });
		const own = await newKey(mine, "Ed25519", { name: "shared" });
		expect(await namesOf(mine, "")).toEqual(["shared"]);
		expect(await namesOf(mine, "tag=a:1")).toEqual([]);
		expect((await mine.call("GET", "/v1/keys/shared")).json.id).toBe(own.id);
	});
});
