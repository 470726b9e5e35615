import { beforeAll, describe, expect, it } from "vitest";
import { documentedRoutes as routes } from "../../openapi/routes.ts";
import { createApp } from "../../src/app.ts";
import { type Role, roles } from "../../src/model.ts";
import { exampleTenant, exampleTokenId, pathOf } from "../support/fixtures.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

/** Who may call what, written down a second time on purpose: a route without an entry fails the suite. */
const expected: Readonly<Record<string, readonly Role[] | "anyone">> = {
	sign: ["admin", "signer"],
	signBatch: ["admin", "signer"],
	signJwt: ["admin", "signer"],
	verify: ["admin", "signer", "verifier"],
	verifyBatch: ["admin", "signer", "verifier"],
	verifyStateless: ["admin", "signer", "verifier"],
	createKey: ["admin"],
	importKey: ["admin"],
	listKeys: ["admin", "signer", "verifier", "auditor"],
	getKey: ["admin", "signer", "verifier", "auditor"],
	getPublicKey: ["admin", "signer", "verifier", "auditor"],
	listKeyVersions: ["admin", "signer", "verifier", "auditor"],
	updateKey: ["admin"],
	rotateKey: ["admin"],
	enableKey: ["admin"],
	disableKey: ["admin"],
	deleteKey: ["admin"],
	restoreKey: ["admin"],
	createToken: ["admin"],
	listTokens: ["admin", "auditor"],
	revokeToken: ["admin"],
	getConfig: ["admin", "auditor"],
	putConfig: ["admin"],
	listConfigVersions: ["admin", "auditor"],
	rollbackConfig: ["admin"],
	listAudit: ["admin", "auditor"],
	exportAudit: ["admin", "auditor"],
	getAuditCheckpoint: ["admin", "auditor"],
	getAuditRecord: ["admin", "auditor"],
	getAuditRecordProof: ["admin", "auditor"],
	getCache: ["admin"],
	purgeCache: ["admin"],
	warmCache: ["admin"],
	listUsage: ["admin", "auditor"],
	listUsedKeys: ["admin", "auditor"],
	listBenchmarks: ["admin", "auditor"],
	runBenchmark: ["admin"],
	listBenchmarkAlerts: ["admin", "auditor"],
	getJwks: "anyone",
	getAuditKeys: "anyone",
	healthz: "anyone",
	readyz: "anyone",
	getOpenApi: "anyone",
	getDocs: "anyone",
};

/** Routes that name a thing of a tenant in their path. */
const withThing = routes.filter((route) => /\{(key|token)\}/.test(route.path));
const guarded = routes.filter((route) => expected[route.id] !== "anyone");

let tenant: Tenant;
let foreign: Tenant;
const tokens = new Map<Role, string>();

beforeAll(async () => {
	[tenant, foreign] = await Promise.all([exampleTenant(), newTenant()]);
	for (const role of roles) tokens.set(role, await tenant.token(role));
});

function send(route: (typeof routes)[number], token: string | null | undefined, from = tenant) {
	const [example] = route.examples;
	const path = pathOf(route.path, example?.params, example?.query);
	return from.call(route.method.toUpperCase(), path, {
		token: token ?? null,
		...(example?.body !== undefined && { json: example.body }),
	});
}

describe("the route table", () => {
	it("has every address that there is, but for those of the pages, which ask for nobody's rows", () => {
		const method = ({ method, path }: { method: string; path: string }) =>
			`${method.toLowerCase()} ${path.replace(/:(\w+)/g, "{$1}")}`;
		const beside = createApp()
			.routes.map(method)
			.filter((one) => !routes.some((route) => method(route) === one));
		expect(beside.sort()).toEqual(["get /", "get /docs/*"]);
	});

	it("has an expectation for every route, and no other", () => {
		expect(Object.keys(expected).sort()).toEqual(routes.map((route) => route.id).sort());
	});

	it("names no path and method twice", () => {
		const names = routes.map((route) => `${route.method} ${route.path}`);
		expect(new Set(names).size).toBe(names.length);
	});
});

describe.each(guarded)("$method $path", (route) => {
	it("refuses a caller without a token", async () => {
		const answer = await send(route, null);
		expect(answer.status).toBe(401);
		expect(answer.json.code).toBe("missing_token");
		expect(answer.headers.get("www-authenticate")).toBe('Bearer realm="edgesign"');
	});

	it.each([
		["an unknown secret", () => `es_${tenant.id}_${"A".repeat(43)}`],
		["an unknown tenant", () => `es_nobody_${"A".repeat(43)}`],
		[
			"this secret under another tenant's name",
			() => tokens.get("admin")?.replace(tenant.id, foreign.id),
		],
		["no token at all", () => "not a token"],
		["a revoked token", () => tenant.token("admin", { revokedAt: "2020-01-01T00:00:00Z" })],
		["an expired token", () => tenant.token("admin", { expiresAt: "2020-01-01T00:00:00Z" })],
	])("refuses %s, and does not say which", async (_, make) => {
		const answer = await send(route, await make());
		expect(answer.status).toBe(401);
		expect(answer.json.code).toBe("invalid_token");
		expect(answer.headers.get("www-authenticate")).toContain('error="invalid_token"');
	});

	const allowed = expected[route.id] as readonly Role[];

	it.each(roles.filter((role) => !allowed.includes(role)))("refuses the role %s", async (role) => {
		const answer = await send(route, tokens.get(role));
		expect(answer.status).toBe(403);
		expect(answer.json.code).toBe("role_forbidden");
	});

	it.each(allowed)("lets the role %s through", async (role) => {
		const answer = await send(route, tokens.get(role));
		expect([401, 403]).not.toContain(answer.status);
		expect(answer.status).toBeLessThan(500);
	});
});

describe.each(withThing)("$method $path from another tenant", (route) => {
	it("answers 404, as if the thing did not exist", async () => {
		const admin = await foreign.token("admin");
		const answer = await send(route, admin);
		expect(answer.status).toBe(404);
		expect(answer.json.code).toBe(
			route.path.includes("{token}") ? "token_not_found" : "key_not_found",
		);
	});

	it("answers 404 for the thing's id too", async () => {
		const admin = await foreign.token("admin");
		const key = await tenant.call("GET", "/v1/keys/payments");
		const [example] = route.examples;
		const path = pathOf(route.path, { key: key.json.id, token: exampleTokenId });
		const answer = await foreign.call(route.method.toUpperCase(), path, {
			token: admin,
			...(example?.body !== undefined && { json: example.body }),
		});
		expect(answer.status).toBe(404);
	});
});

describe.each(routes.filter(({ tag, permission }) => tag === "Audit" && permission))(
	"$method $path",
	(route) => {
		it("refuses a token for some keys, because the log is of all of them", async () => {
			const answer = await send(route, await tenant.token("auditor", { keys: ["payments"] }));
			expect(answer.status).toBe(403);
			expect(answer.json.code).toBe("scoped_token_forbidden");
		});

		it("tells nothing of another tenant", async () => {
			const answer = await send(route, await foreign.token("admin"), foreign);
			expect(answer.text).not.toContain(tenant.id);
			if (answer.status !== 200) expect(answer.json.code).toBe("audit_record_not_found");
		});
	},
);

describe.each(routes.filter(({ tag }) => tag === "Benchmarks"))("$method $path", (route) => {
	it("refuses a token for some keys, because benchmarks are of the whole service", async () => {
		const answer = await send(route, await tenant.token("admin", { keys: ["payments"] }));
		expect(answer.status).toBe(403);
		expect(answer.json.code).toBe("scoped_token_forbidden");
	});
});

describe.each(withThing.filter((route) => route.path.includes("{key}")))(
	"$method $path with a token for other keys",
	(route) => {
		it("answers 403 by name and by id", async () => {
			const [role] = expected[route.id] as readonly Role[];
			const scoped = await tenant.token(role ?? "admin", { keys: ["other-*"] });
			const key = await tenant.call("GET", "/v1/keys/payments");
			const [example] = route.examples;
			for (const ref of ["payments", key.json.id]) {
				const answer = await tenant.call(
					route.method.toUpperCase(),
					pathOf(route.path, { key: ref }),
					{
						token: scoped,
						...(example?.body !== undefined && { json: example.body }),
					},
				);
				expect(answer.status).toBe(403);
				expect(answer.json.code).toBe("key_out_of_scope");
			}
		});
	},
);
