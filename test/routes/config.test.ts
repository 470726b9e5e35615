import { beforeEach, describe, expect, it } from "vitest";
import { defaultConfig } from "../../src/config/schema.ts";
import { call, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeEach(async () => {
	tenant = await newTenant();
});

const benchmarks = { benchmarking_config: { enable_benchmarks: true } };
/** Of a role that no test here has. */
const quota = (count: number) => ({
	limits_config: { roles: { verifier: { quota: count, window_seconds: 1 } } },
});

function put(json: unknown, query = "", options: object = {}, of: Tenant = tenant) {
	return of.call("PUT", `/v1/config${query}`, { json, ...options });
}

interface Shown {
	readonly version: number;
	readonly createdAt: string;
	readonly createdBy: string;
	readonly note: string | null;
}

async function idOf(token: string): Promise<string> {
	const text = "select id from tokens where tenant_id = $1 and secret_hash = sha256($2)";
	const [row] = await ownerSql().query(text, [tenant.id, token]);
	return row?.id;
}

describe("GET /v1/config", () => {
	it("shows the defaults as version 0 until something is set", async () => {
		const answer = await tenant.call("GET", "/v1/config");
		expect(answer.status).toBe(200);
		expect(answer.headers.get("etag")).toBe('"0"');
		expect(answer.headers.get("content-type")).toBe("application/json");
		expect(answer.headers.get("cache-control")).toBe("no-store");
		const nothing = { createdAt: null, createdBy: null, note: null };
		expect(answer.json).toEqual({ version: 0, config: defaultConfig, ...nothing });
	});

	it("has the defaults that were asked for, by their names", async () => {
		const { config } = (await tenant.call("GET", "/v1/config")).json;
		expect(config.performance_config).toEqual({
			enable_performance_mode: false,
			memory_optimization: true,
			cache_optimization: true,
		});
		expect(config.scaling_config).toMatchObject({
			enable_horizontal_scaling: false,
			worker_processes: 1,
			shared_memory_size: "64m",
		});
		expect(config.benchmarking_config).toEqual({
			enable_benchmarks: false,
			benchmark_interval_seconds: 300,
			performance_thresholds: {
				max_response_time_ms: 100,
				max_memory_usage_mb: 128,
				min_throughput_rps: 1000,
			},
		});
	});

	it("shows any version that there was, and the defaults as 0", async () => {
		await put(quota(1));
		await put(quota(2));
		for (const [version, verifier] of [
			[0, null],
			[1, { quota: 1, window_seconds: 1 }],
			[2, { quota: 2, window_seconds: 1 }],
		]) {
			const answer = await tenant.call("GET", `/v1/config?version=${version}`);
			expect(answer.headers.get("etag")).toBe(`"${version}"`);
			expect(answer.json.version).toBe(version);
			expect(answer.json.config.limits_config.roles.verifier).toEqual(verifier);
		}
	});

	it("gives a configuration from before a field was there that field's default", async () => {
		await ownerSql().query(
			"insert into config_versions (tenant_id, version, config) values ($1, 1, $2::jsonb)",
			[tenant.id, JSON.stringify({ scaling_config: { worker_processes: 2 } })],
		);
		const { json } = await tenant.call("GET", "/v1/config");
		expect(json.version).toBe(1);
		expect(json.config).toEqual({
			...defaultConfig,
			scaling_config: { ...defaultConfig.scaling_config, worker_processes: 2 },
		});
	});
});

describe("PUT /v1/config", () => {
	it("makes a version that says who wrote it, when and why", async () => {
		const token = await tenant.token("admin");
		const answer = await put(benchmarks, "?note=Look%20closer", { token });
		expect(answer.status, answer.text).toBe(200);
		expect(answer.headers.get("etag")).toBe('"1"');
		const { version, config, createdAt, createdBy, note } = answer.json;
		expect({ version, note }).toEqual({ version: 1, note: "Look closer" });
		expect(createdBy).toBe(await idOf(token));
		expect(Math.abs(Date.parse(createdAt) - Date.now())).toBeLessThan(60_000);
		expect(config.benchmarking_config.enable_benchmarks).toBe(true);
		expect((await tenant.call("GET", "/v1/config")).json).toEqual(answer.json);
	});

	it("replaces the whole: what is left out is back at its default", async () => {
		await put(benchmarks);
		const answer = await put(quota(5));
		expect(answer.json.config).toEqual({
			...defaultConfig,
			limits_config: {
				...defaultConfig.limits_config,
				roles: { ...defaultConfig.limits_config.roles, ...quota(5).limits_config.roles },
			},
		});
	});

	it("takes back what GET has shown", async () => {
		const { config } = (await put(quota(5))).json;
		const answer = await put({ ...config, ...benchmarks });
		expect(answer.json.version).toBe(2);
		expect(answer.json.config).toEqual({
			...config,
			benchmarking_config: { ...defaultConfig.benchmarking_config, enable_benchmarks: true },
		});
	});

	it("makes no version of what is current already", async () => {
		const first = await put(quota(5), "?note=first");
		const again = await put(first.json.config, "?note=again");
		expect([again.status, again.json]).toEqual([200, first.json]);
		expect(again.headers.get("etag")).toBe('"1"');
	});

	it("with a fence answers when no isolate has the old one any more", async () => {
		const answer = await put(quota(5), "?fence=true");
		expect([answer.status, answer.json.version]).toEqual([200, 1]);
		expect((await put(quota(6), "?fence=false")).json.version).toBe(2);
	});

	it("of one tenant changes nothing of another", async () => {
		const other = await newTenant();
		await put(quota(5));
		expect((await other.call("GET", "/v1/config")).json.version).toBe(0);
		expect((await put(quota(6), "", {}, other)).json.version).toBe(1);
		const { config } = (await tenant.call("GET", "/v1/config")).json;
		expect(config).toMatchObject(quota(5));
	});
});

describe("PUT /v1/config with If-Match", () => {
	it.each([
		['"1"'],
		["*"],
		['"7", "1"'],
		['"0","1"'],
		[' "1" '],
		['W/"1"'],
		['"1",'],
		[', "7",, "1"'],
		['"a,b", "1"'],
	])("goes through at version 1 with %s", async (value) => {
		await put(quota(1));
		const answer = await put(quota(2), "", { headers: { "If-Match": value } });
		expect([answer.status, answer.json.version]).toEqual([200, 2]);
	});

	it("goes through at version 0 where nothing was set", async () => {
		const answer = await put(quota(2), "", { headers: { "If-Match": '"0"' } });
		expect(answer.json.version).toBe(1);
	});

	it("lets one of two writers through who have read the same, and loses nothing silently", async () => {
		const { etag } = Object.fromEntries((await put(quota(1))).headers);
		const headers = { "If-Match": etag ?? "" };
		const both = await Promise.all([
			put(quota(2), "", { headers }),
			put(quota(3), "", { headers }),
		]);
		expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
		const won = both.find(({ status }) => status === 200);
		expect((await tenant.call("GET", "/v1/config")).json).toEqual(won?.json);
	});
});

describe("limits that were set", () => {
	const always = { window_seconds: 3600 };

	it("hold for the next request after a fenced change", async () => {
		const token = await tenant.token("auditor");
		const read = () => call("GET", "/v1/keys/none", { token });
		expect((await read()).status).toBe(404);
		const roles = { auditor: { quota: 1, ...always } };
		await put({ limits_config: { roles } }, "?fence=true");
		const statuses = new Set<number>();
		for (let i = 0; i < 10; i++) statuses.add((await read()).status);
		expect([...statuses].at(-1)).toBe(429);
	});

	it("may be as low as is allowed, and can still be taken back", async () => {
		const lowest = { quota: 1, window_seconds: 3600 };
		const configure = { quota: 10, window_seconds: 1 };
		const limits_config = {
			tenant: lowest,
			roles: { admin: lowest },
			operations: { manage: lowest, configure },
		};
		await put({ limits_config }, "?fence=true");
		const deadline = Date.now() + 20_000;
		let answer = await put({});
		while (answer.status === 429 && Date.now() < deadline) answer = await put({});
		expect([answer.status, answer.json.version], answer.text).toEqual([200, 2]);
	});
});

describe("two writers at once without If-Match", () => {
	it("get one version after the other, or one of them is told to look again", async () => {
		const both = await Promise.all([put(quota(2)), put(quota(3))]);
		const written = both.filter(({ status }) => status === 200);
		const refused = both.filter(({ status }) => status !== 200);
		expect(written.map(({ json }) => json.version).sort()).toEqual(written.map((_, i) => i + 1));
		expect(written.length).toBeGreaterThan(0);
		for (const { json } of refused) expect(json.code).toBe("concurrent_change");
	});
});

describe("GET /v1/config/versions", () => {
	it("is an empty page where nothing was set", async () => {
		const { json } = await tenant.call("GET", "/v1/config/versions");
		expect(json).toEqual({ versions: [], nextCursor: null });
	});

	it.each([
		[1, [1, 1, 1, 1, 1]],
		[2, [2, 2, 1]],
		[5, [5]],
	])("shows pages of %s, newest first, with who, when and why", async (limit, sizes) => {
		for (let i = 1; i <= 5; i++) await put(quota(i), i % 2 === 0 ? "" : `?note=n${i}`);
		const pages = await pagesOf(limit);
		expect(pages.map((page) => page.length)).toEqual(sizes);
		expect(pages.flat().map(({ version, note }) => [version, note])).toEqual([
			[5, "n5"],
			[4, null],
			[3, "n3"],
			[2, null],
			[1, "n1"],
		]);
		for (const version of pages.flat()) {
			expect(Object.keys(version).sort()).toEqual(["createdAt", "createdBy", "note", "version"]);
			expect(version.createdBy).toMatch(/^[0-9a-f-]{36}$/);
			expect(Date.parse(version.createdAt)).toBeGreaterThan(Date.now() - 60_000);
		}
	});

	it("shows an auditor what an admin sees, and none of another tenant", async () => {
		await put(quota(1));
		const token = await tenant.token("auditor");
		const seen = await call("GET", "/v1/config/versions", { token });
		expect(seen.json).toEqual((await tenant.call("GET", "/v1/config/versions")).json);
		const other = await newTenant();
		expect((await other.call("GET", "/v1/config/versions")).json.versions).toEqual([]);
	});
});

async function pagesOf(limit: number): Promise<Shown[][]> {
	const pages: Shown[][] = [];
	let query = `limit=${limit}`;
	while (query !== "" && pages.length < 10) {
		const { json } = await tenant.call("GET", `/v1/config/versions?${query}`);
		pages.push(json.versions);
		query = json.nextCursor === null ? "" : `limit=${limit}&cursor=${json.nextCursor}`;
	}
	return pages;
}

describe("a legal hold", () => {
	const heldNow = async (of: Tenant) =>
		(await of.call("GET", "/v1/config")).json.config.audit_config.legal_hold;

	it("stays on when a later configuration leaves it out, and ends by false alone", async () => {
		const of = await newTenant();
		const audit_config = { legal_hold: true, retention_days: 400 };
		await put({ audit_config }, "", {}, of);
		for (const later of [{}, { audit_config: {} }, { audit_config: { retention_days: 30 } }]) {
			const answer = await put(later, "", {}, of);
			expect(answer.status, answer.text).toBe(200);
			expect(answer.json.config.audit_config.legal_hold).toBe(true);
		}
		expect(await heldNow(of)).toBe(true);
		await put({ audit_config: { legal_hold: false } }, "", {}, of);
		expect(await heldNow(of)).toBe(false);
		await put({}, "", {}, of);
		expect(await heldNow(of)).toBe(false);
	});

	it("stays on when an earlier configuration comes back, and comes back with one that had it", async () => {
		const of = await newTenant();
		await put({ audit_config: { retention_days: 7 } }, "", {}, of);
		await put({ audit_config: { legal_hold: true } }, "", {}, of);
		const back = (version: number) => of.call("POST", "/v1/config/rollback", { json: { version } });
		expect((await back(1)).json.config.audit_config).toEqual({
			legal_hold: true,
			retention_days: 7,
		});
		expect((await back(0)).json.config.audit_config.legal_hold).toBe(true);
		await put({ audit_config: { legal_hold: false } }, "", {}, of);
		expect((await back(2)).json.config.audit_config.legal_hold).toBe(true);
	});
});

describe("POST /v1/config/rollback", () => {
	const back = (version: number, query = "", options: object = {}) =>
		tenant.call("POST", `/v1/config/rollback${query}`, { json: { version }, ...options });

	it("makes a new version of an old one, and keeps what was between", async () => {
		for (const count of [1, 2, 3]) await put(quota(count));
		const token = await tenant.token("admin");
		const answer = await back(1, "", { token });
		expect(answer.status, answer.text).toBe(200);
		expect(answer.headers.get("etag")).toBe('"4"');
		expect(answer.json).toMatchObject({
			version: 4,
			createdBy: await idOf(token),
			note: "Rollback to version 1",
			config: quota(1),
		});
		const { json } = await tenant.call("GET", "/v1/config?version=3");
		expect(json.config).toMatchObject(quota(3));
	});

	it("goes back to the defaults with version 0", async () => {
		await put(quota(1));
		const { json } = await back(0, "?note=all%20off&fence=true");
		expect(json).toMatchObject({ version: 2, config: defaultConfig, note: "all off" });
	});

	it("to what is current makes no version, so that it can be sent twice", async () => {
		for (const count of [1, 2]) await put(quota(count));
		const first = await back(1);
		expect((await back(1)).json).toEqual(first.json);
	});

	it("heeds If-Match", async () => {
		for (const count of [1, 2]) await put(quota(count));
		expect((await back(1, "", { headers: { "If-Match": '"1"' } })).status).toBe(412);
		expect((await back(1, "", { headers: { "If-Match": '"2"' } })).json.version).toBe(3);
	});
});
