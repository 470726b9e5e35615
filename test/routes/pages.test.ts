import { beforeAll, describe, expect, it } from "vitest";
import {
	cursorOf,
	type Listing,
	readCursor,
	readDayPage,
	readPage,
	readVersionPage,
} from "../../src/routes/pages.ts";
import { expectProblem } from "../support/answers.ts";
import { type Answer, newTenant, type Tenant } from "../support/tenant.ts";

const listing: Listing = { of: "listKeys", tenant: "main", query: {} };
const id = "01900000-0000-7000-8000-00000000000a";
const refused = { ok: false, error: { code: "invalid_cursor" } };

/** The same list, asked for with this cursor. */
const going = (cursor: string, of: Partial<Listing> = {}): Listing => {
	const next = { ...listing, ...of };
	return { ...next, query: { ...next.query, cursor } };
};

describe("a cursor", () => {
	it("tells where the page before ended, whatever the size of the next one", () => {
		const next = going(cursorOf(listing, id), { query: { limit: 7 } });
		expect(readCursor(next)).toEqual({ ok: true, value: id });
		expect(readPage(next)).toEqual({ ok: true, value: { after: id, size: 8 } });
	});

	it.each<[string, Partial<Listing>]>([
		["list", { of: "listTokens" }],
		["tenant", { tenant: "acme" }],
		["filter", { query: { state: "enabled" } as Listing["query"] }],
	])("is none for another %s", (_, other) => {
		const cursor = cursorOf({ ...listing, ...other }, id);
		expect(readPage(going(cursor))).toMatchObject(refused);
		expect(readPage(going(cursorOf(listing, id), other))).toMatchObject(refused);
		expect(readPage(going(cursor, other)).ok).toBe(true);
	});

	it.each([
		"",
		"payments",
		id.slice(1),
		`${id}0`,
		"0",
		"2147483648",
		"2026-02-30/x",
		`/${id}`,
		`2026-02-30/${id}`,
	])("that somebody made up of %j ends no page", (end) => {
		const made = going(cursorOf(listing, end));
		for (const read of [readPage, readVersionPage, readDayPage]) {
			expect(read(made)).toMatchObject(refused);
		}
	});

	it.each(["", "AAAA", "AAAAAAAAAAA", "%", "AAAAAAAAAAAA="])("is not %j", (cursor) => {
		expect(readPage(going(cursor))).toMatchObject(refused);
	});
});

describe("lists over HTTP", () => {
	let tenant: Tenant;
	let next: (path: string) => Promise<string>;
	beforeAll(async () => {
		tenant = await newTenant();
		for (const name of ["a", "b", "c"]) {
			await tenant.call("POST", "/v1/keys", { json: { name, algorithm: "Ed25519" } });
		}
		for (const name of ["a", "b", "c"]) {
			await tenant.call("POST", "/v1/tokens", { json: { name, role: "signer" } });
			await tenant.call("POST", "/v1/keys/a/rotate");
			await tenant.call("POST", "/v1/keys/b/rotate");
		}
		next = async (path) => {
			const { json }: Answer = await tenant.call("GET", path);
			expect(json.nextCursor, path).toEqual(expect.any(String));
			return json.nextCursor;
		};
	});

	it("do not take each other's cursors, nor one of another filter, and go on with their own", async () => {
		const paths = [
			"/v1/keys?limit=1",
			"/v1/keys?limit=1&state=enabled",
			"/v1/tokens?limit=1",
			"/v1/keys/a/versions?limit=1",
			"/v1/keys/b/versions?limit=1",
			"/v1/audit?limit=1",
			"/v1/audit?limit=1&action=createKey",
		];
		for (const from of paths) {
			const cursor = await next(from);
			for (const to of paths) {
				const answer = await tenant.call("GET", `${to}&cursor=${cursor}`);
				if (from === to) expect(answer.status, answer.text).toBe(200);
				else expectProblem(answer, 400, "invalid_cursor", { pointer: "/cursor" });
			}
		}
	});
});
