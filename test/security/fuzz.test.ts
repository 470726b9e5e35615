import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { openApi } from "../../openapi/document.ts";
import { type DocumentedRoute, documentedRoutes as routes } from "../../openapi/routes.ts";
import type { Example } from "../../src/routes/route.ts";
import { problem } from "../../src/schemas/answers/service.ts";
import { exampleTenant } from "../support/fixtures.ts";
import type { Answer, Tenant } from "../support/tenant.ts";

/** A failure prints it, with the request that is left after shrinking. */
const seed = 20_261_128;
const requestsEach = 25;
/** Each of these measures the service for some seconds. */
const requestsOfLong = 4;

const document = openApi(routes);
/** What stands by itself in a JSON document, and is seldom what one expects. */
const oddities: readonly unknown[] = [
	...[null, true, 0, -0, -1, 1.5, 1e308, 2 ** 53, "", " ", "0", "a".repeat(5_000), [], {}, [[]]],
	...[
		"\u0000",
		"\ud800",
		"\uFFFD",
		"é\u0301",
		"ﬀ",
		"__proto__",
		"%00",
		"../..",
		"'; drop table keys",
	],
	...["====", "-_-_", "AA==", "AB==", "\n", "2026-02-30T00:00:00Z", "0001-01-01", "+275760-09-13"],
	...[{ toString: 1 }, { constructor: {} }, { length: 3 }, Array.from({ length: 1_100 }, () => 1)],
];

interface Sent {
	readonly path: string;
	readonly body: string | undefined;
	readonly headers: Readonly<Record<string, string>>;
}

const odd = fc.oneof(
	fc.constantFrom(...oddities),
	fc.string({ unit: "binary", maxLength: 40 }),
	fc.json({ maxDepth: 3 }).map((text): unknown => JSON.parse(text)),
);

/** Paths to everything in a document, the document itself first. */
function places(json: unknown, at: readonly string[] = []): (readonly string[])[] {
	if (typeof json !== "object" || json === null) return [at];
	return [at, ...Object.entries(json).flatMap(([name, value]) => places(value, [...at, name]))];
}

/** The document with something else in one place: another value, none, or a field more. */
function changed(json: unknown, [name, ...rest]: readonly string[], value: unknown): unknown {
	if (name === undefined) return value;
	if (Array.isArray(json)) {
		return json.map((item, index) => (String(index) === name ? changed(item, rest, value) : item));
	}
	const object = json as Record<string, unknown>;
	return Object.fromEntries(
		Object.entries(object).map(([own, held]) => [
			own,
			own === name ? changed(held, rest, value) : held,
		]),
	);
}

function bodies({ body }: Example): fc.Arbitrary<string | undefined> {
	if (body === undefined) return fc.constantFrom(undefined, "", "{}", "null", "[");
	const text = JSON.stringify(body);
	const elsewhere = fc
		.tuple(fc.constantFrom(...places(body)), odd, fc.string({ maxLength: 8 }))
		.chain(([at, value, name]) =>
			fc.constantFrom(changed(body, at, value), { ...body, [name]: value }),
		)
		.map((json) => JSON.stringify(json));
	const broken = fc.nat(text.length).map((length) => text.slice(0, length));
	const deep = fc.constant(`${"[".repeat(200)}${"]".repeat(200)}`);
	return fc.oneof({ arbitrary: elsewhere, weight: 6 }, broken, deep, fc.constant(text));
}

const names = fc.oneof(
	fc.constantFrom("payments", "legacy", "none", "%00", "%", "%ff", "..%2f", "a%20b", "019a-"),
	fc.string({ unit: "binary", minLength: 1, maxLength: 20 }).map(encoded),
	fc.uuid(),
);

function encoded(text: string): string {
	return encodeURIComponent(text.toWellFormed()) || "x";
}

/** An example of the route in which something is not as it should be. */
function requests(route: DocumentedRoute): fc.Arbitrary<Sent> {
	return fc.constantFrom(...route.examples).chain((example) => {
		const params = fc.boolean().chain((isKept) => (isKept ? fc.constant(null) : names));
		const known = Object.entries(example.query ?? {}).map(([name]) => name);
		const parameter = fc.tuple(
			fc.constantFrom(...known, "limit", "cursor", "from", "to", "version", "format", "fence", "x"),
			fc.oneof(fc.constantFrom("1", "-1", "1e9", "true", "%00", "%", "jwk", "raw"), names),
		);
		const search = fc.array(parameter, { maxLength: 2 });
		const headers = fc.constantFrom<Sent["headers"]>(
			...[{}, {}, {}, { "content-type": "text/plain" }, { "content-type": "application/json; x" }],
			...[{ "idempotency-key": "" }, { "idempotency-key": "\u00ff".repeat(300) }],
			...[{ "if-none-match": '"' }, { accept: "application/vnd.apache.parquet" }],
		);
		return fc
			.record({ name: params, search, body: bodies(example), headers })
			.map(({ name, search, body, headers }) => ({
				path: pathWith(route.path, example, name, search),
				body,
				headers,
			}));
	});
}

function pathWith(
	path: string,
	example: Example,
	name: string | null,
	search: readonly (readonly [string, string])[],
): string {
	const filled = path.replace(
		/\{(\w+)\}/g,
		(_, param: string) => name ?? encodeURIComponent(example.params?.[param] ?? param),
	);
	const own = Object.entries(example.query ?? {});
	const all = search.length > 0 ? search : own;
	return all.length === 0 ? filled : `${filled}?${all.map((pair) => pair.join("=")).join("&")}`;
}

let tenant: Tenant;
beforeAll(async () => {
	tenant = await exampleTenant();
});

async function send(route: DocumentedRoute, { path, body, headers }: Sent): Promise<Answer> {
	const type = body === undefined ? {} : { "content-type": "application/json" };
	return tenant.call(route.method.toUpperCase(), path, {
		...(body !== undefined && route.method !== "get" && { body }),
		headers: { ...type, ...headers },
	});
}

/** What the document says that the route may answer; a path that became another one's is any route's. */
function documented({ path, method }: DocumentedRoute): Set<string> {
	return new Set(Object.keys(document.paths?.[path]?.[method]?.responses ?? {}));
}

/** Answers that say that something of ours failed, or was too busy. */
const faults: readonly number[] = [500, 502, 503, 504];

describe.each(routes)("$method $path", (route) => {
	it("answers whatever it is sent as the document says, and never by a fault", async () => {
		const property = fc.asyncProperty(requests(route), async (sent) => {
			const answer = await send(route, sent);
			const { status, json } = answer;
			expect(faults, answer.text.slice(0, 300)).not.toContain(status);
			if (json?.code === "route_not_found" || json?.code === "method_not_allowed") return;
			expect([...documented(route)], answer.text.slice(0, 300)).toContain(String(status));
			if (status >= 400) {
				expect(answer.headers.get("content-type")).toBe("application/problem+json");
				expect(problem.safeParse(json).error).toBeUndefined();
			}
		});
		const numRuns = route.permission === "benchmarks:run" ? requestsOfLong : requestsEach;
		await fc.assert(property, { seed, numRuns });
	}, 120_000);
});
