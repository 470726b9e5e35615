import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { expectProblem } from "../support/answers.ts";
import { call, newTenant, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
let before: unknown;
beforeAll(async () => {
	tenant = await newTenant();
	const json = { limits_config: { reserve_percent: 5 } };
	before = (await tenant.call("PUT", "/v1/config", { json })).json;
	expect(before).toMatchObject({ version: 1 });
});

// Nothing of what is refused here has left a trace.
afterAll(async () => {
	expect((await tenant.call("GET", "/v1/config")).json).toEqual(before);
});

function put(json: unknown, query = "", headers: Record<string, string> = {}) {
	return tenant.call("PUT", `/v1/config${query}`, { json, headers });
}

const performance = (fields: object) => ({ performance_config: fields });
const scaling = (fields: object) => ({ scaling_config: fields });
const benchmarking = (fields: object) => ({ benchmarking_config: fields });
const thresholds = (fields: object) => benchmarking({ performance_thresholds: fields });
const limits = (fields: object) => ({ limits_config: fields });

describe("PUT /v1/config", () => {
	it.each([
		["a text for a switch", performance({ memory_optimization: "yes" }), ["boolean", '"yes"']],
		["a number for a switch", performance({ cache_optimization: 1 }), ["boolean", "1"]],
		["null for a switch", performance({ enable_performance_mode: null }), ["boolean"]],
		["no workers", scaling({ worker_processes: 0 }), ["1", "0"]],
		["65 workers", scaling({ worker_processes: 65 }), ["64", "65"]],
		["half a worker", scaling({ worker_processes: 1.5 }), ["1.5"]],
		["a size without a unit", scaling({ shared_memory_size: "64" }), ['"64m"', '"64"']],
		["a size as a number", scaling({ shared_memory_size: 64 }), ["string", "64"]],
		["a size of nothing", scaling({ shared_memory_size: "0m" }), ['"64m"', '"0m"']],
		["17 shards", scaling({ coordinator_shards: 17 }), ["16", "17"]],
		["a short interval", benchmarking({ benchmark_interval_seconds: 59 }), ["60", "59"]],
		["a long interval", benchmarking({ benchmark_interval_seconds: 86_401 }), ["86400"]],
		["no time to answer", thresholds({ max_response_time_ms: 0 }), ["1", "0"]],
		["more memory than there is", thresholds({ max_memory_usage_mb: 129 }), ["128", "129"]],
		["a throughput below nothing", thresholds({ min_throughput_rps: -1 }), ["1", "-1"]],
		["no limit of the tenant", limits({ tenant: null }), ["object"]],
		["a reserve of 91 %", limits({ reserve_percent: 91 }), ["90", "91"]],
		["roles as a list", limits({ roles: [] }), ["object"]],
	])("refuses %s by its field", async (_, json, says) => {
		const [part, fields] = Object.entries(json)[0] ?? [];
		const path = (value: unknown): string =>
			typeof value === "object" && value !== null && !Array.isArray(value)
				? Object.entries(value)
						.map(([name, inner]) => `/${name}${path(inner)}`)
						.join("")
				: "";
		const answer = await put(json);
		expectProblem(answer, 400, "invalid_request", { pointer: `/${part}${path(fields)}`, says });
	});

	it.each([
		["nothing", { quota: 0, window_seconds: 1 }, "quota", ["1", "0"]],
		["ten million and one", { quota: 10_000_001, window_seconds: 1 }, "quota", ["10000000"]],
		["a fraction", { quota: 0.5, window_seconds: 1 }, "quota", ["0.5"]],
		["a window of no time", { quota: 1, window_seconds: 0 }, "window_seconds", ["1", "0"]],
		["a window over an hour", { quota: 1, window_seconds: 3601 }, "window_seconds", ["3600"]],
		["no window", { quota: 1 }, "window_seconds", ["number"]],
	])("refuses a quota of %s, wherever it stands", async (_, quota, field, says) => {
		for (const [at, json] of [
			["tenant", limits({ tenant: quota })],
			["operations/sign", limits({ operations: { sign: quota } })],
			["roles/auditor", limits({ roles: { auditor: quota } })],
		] as const) {
			const pointer = `/limits_config/${at}/${field}`;
			expectProblem(await put(json), 400, "invalid_request", { pointer, says });
		}
	});

	it("refuses limits under which it could not be changed back", async () => {
		const answer = await put(
			limits({ operations: { configure: { quota: 9, window_seconds: 1 } } }),
		);
		const pointer = "/limits_config/operations/configure/quota";
		expectProblem(answer, 400, "invalid_request", { pointer, says: ["10 at least", "not 9"] });
	});

	it("refuses limits of which a shard would have next to nothing", async () => {
		const tenant = { quota: 3999, window_seconds: 1 };
		const answer = await put({ ...limits({ tenant }), ...scaling({ coordinator_shards: 4 }) });
		const pointer = "/limits_config/tenant/quota";
		expectProblem(answer, 400, "invalid_request", { pointer, says: ["4000 at least", "not 3999"] });
	});

	it("names every field that is wrong, each with its own message", async () => {
		const json = { ...scaling({ worker_processes: 0 }), ...limits({ reserve_percent: 99 }) };
		const { errors } = (await put(json)).json;
		expect(errors.map(({ pointer }: { pointer: string }) => pointer)).toEqual([
			"/scaling_config/worker_processes",
			"/limits_config/reserve_percent",
		]);
	});

	it.each([
		["/console_config", { console_config: {} }],
		["/scaling_config/workers", scaling({ workers: 2 })],
		["/limits_config/roles/root", limits({ roles: { root: null } })],
		["/limits_config/tenant/burst", limits({ tenant: { quota: 1, window_seconds: 1, burst: 2 } })],
		["/__proto__", JSON.parse('{"__proto__": {}}')],
	])("refuses the unknown field %s", async (pointer, json) => {
		expectProblem(await put(json), 400, "unknown_field", { pointer });
	});

	it.each([
		["no body", undefined, "invalid_request"],
		["a list", [], "invalid_request"],
		["null", null, "invalid_request"],
	] as const)("refuses %s", async (_, json, code) => {
		expectProblem(await put(json), 400, code);
	});

	it.each([
		["fence=yes", "/fence", ["true", '"yes"']],
		["fence=true&fence=true", "/fence", []],
		["note=", "/note", ["1"]],
		[`note=${"x".repeat(257)}`, "/note", ["256"]],
		["note=a%00b", "/note", ["control"]],
	])("refuses the query %s", async (query, pointer, says) => {
		expectProblem(await put({}, `?${query}`), 400, "invalid_request", { pointer, says });
	});

	it.each(['"0"', '"2"', 'W/"2"', '"01"', '"one"', '"0", "2"'])(
		"with If-Match: %s at version 1 is refused",
		async (value) => {
			const answer = await put({}, "", { "If-Match": value });
			expectProblem(answer, 412, "precondition_failed", { says: ["is 1"] });
		},
	);

	it.each(["1", '"1', '"1" "2"', '"1", 2', '"1", "', ",", "'1'"])(
		"does not guess what If-Match: %s means",
		async (value) => {
			const answer = await put({}, "", { "If-Match": value });
			expectProblem(answer, 400, "invalid_request", { says: ['"3"'] });
		},
	);

	it.each(["*", '"1"', '"2"', "x"])("with If-None-Match: %s is refused", async (value) => {
		const headers = { "If-None-Match": value };
		const says = ["If-None-Match", "leave it out"];
		expectProblem(await put({}, "", headers), 412, "precondition_failed", { says });
		expectProblem(await put({}, "", { ...headers, "If-Match": '"1"' }), 412, "precondition_failed");
		const back = { json: { version: 0 }, headers };
		const answer = await tenant.call("POST", "/v1/config/rollback", back);
		expectProblem(answer, 412, "precondition_failed", { says });
	});
});

describe("POST /v1/config/rollback", () => {
	const back = (json: unknown) => tenant.call("POST", "/v1/config/rollback", { json });

	it.each([2, 2_147_483_647])("finds no version %s", async (version) => {
		const says = [String(version)];
		expectProblem(await back({ version }), 404, "config_version_not_found", { says });
	});

	it("finds no version of another tenant", async () => {
		const other = await newTenant();
		const json = { version: 1 };
		const answer = await other.call("POST", "/v1/config/rollback", { json });
		expectProblem(answer, 404, "config_version_not_found");
	});

	it.each([
		["no version", {}, ["number"]],
		["a version below 0", { version: -1 }, ["0", "-1"]],
		["a version as text", { version: "1" }, ["number", '"1"']],
		["a version beyond Postgres' integers", { version: 2_147_483_648 }, ["2147483647"]],
	])("refuses %s", async (_, json, says) => {
		expectProblem(await back(json), 400, "invalid_request", { pointer: "/version", says });
	});
});

describe("GET /v1/config", () => {
	it("finds no version that there never was", async () => {
		const answer = await tenant.call("GET", "/v1/config?version=2");
		expectProblem(answer, 404, "config_version_not_found", { says: ["2"] });
	});

	it.each([
		["version=-1", "/version", "invalid_request"],
		["version=1.0", "/version", "invalid_request"],
		["version=2147483648", "/version", "invalid_request"],
		["fence=true", "/fence", "unknown_field"],
	] as const)("refuses %s", async (query, pointer, code) => {
		expectProblem(await tenant.call("GET", `/v1/config?${query}`), 400, code, { pointer });
	});
});

describe("GET /v1/config/versions", () => {
	it.each([
		["limit=0", "invalid_request"],
		["limit=201", "invalid_request"],
		["cursor=", "invalid_cursor"],
		["cursor=MA", "invalid_cursor"], // 0
		["cursor=LTE", "invalid_cursor"], // -1
		["cursor=MjE0NzQ4MzY0OA", "invalid_cursor"], // 2147483648
		["cursor=MDE5MDAwMDAtMDAwMC03MDAwLTgwMDAtMDAwMDAwMDAwMDAx", "invalid_cursor"], // a token's id
		["version=1", "unknown_field"],
	] as const)("refuses %s", async (query, code) => {
		expectProblem(await tenant.call("GET", `/v1/config/versions?${query}`), 400, code);
	});
});

describe("a token for some keys", () => {
	it("touches no configuration, even as an admin's, and even for all keys by a star", async () => {
		const token = await tenant.token("admin", { keys: ["*"] });
		for (const answer of [
			await call("GET", "/v1/config", { token }),
			await call("GET", "/v1/config?version=1", { token }),
			await call("GET", "/v1/config/versions", { token }),
			await call("PUT", "/v1/config", { token, json: {} }),
			await call("POST", "/v1/config/rollback", { token, json: { version: 0 } }),
		]) {
			expectProblem(answer, 403, "scoped_token_forbidden", { says: ["configuration"] });
		}
	});
});
