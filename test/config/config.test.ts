import { beforeEach, describe, expect, it } from "vitest";
import {
	type ConfigChange,
	listVersions,
	putConfig,
	readConfig,
	readConfigVersion,
	rollback,
} from "../../src/config/config.ts";
import { defaultConfig, type TenantConfig, tenantConfig } from "../../src/config/schema.ts";
import { type OwnSchema, ownSchema } from "../support/schema.ts";

let schema: OwnSchema;
beforeEach(async () => {
	schema = await ownSchema();
});

const author = "01900000-0000-7000-8000-000000000001";

function change(fields: Partial<ConfigChange> = {}): ConfigChange {
	const commit: ConfigChange["commit"] = (write) => write(schema.services.db);
	const builds = { expected: null, endsHold: false };
	return { tenant: "main", createdBy: author, note: null, ...builds, commit, ...fields };
}

function withQuota(quota: number): TenantConfig {
	return tenantConfig.parse({
		limits_config: { roles: { verifier: { quota, window_seconds: 1 } } },
	});
}

const read = () => readConfig(schema.services.db, "main");
const put = (config: TenantConfig, fields?: Partial<ConfigChange>) =>
	putConfig(config, change(fields));

/** A version as an older or newer release would have left it. */
async function store(version: number, config: unknown): Promise<void> {
	await schema.query(
		"insert into config_versions (tenant_id, version, config) values ('main', $1, $2::jsonb)",
		[version, JSON.stringify(config)],
	);
}

describe("reading", () => {
	it("answers version 0 and the defaults where nothing is stored", async () => {
		const nothing = { createdAt: null, createdBy: null, note: null };
		expect(await read()).toEqual({ version: 0, config: defaultConfig, ...nothing });
	});

	it("gives an old stored one the defaults of newer fields, and passes over what it does not know", async () => {
		await store(1, { performance_config: { memory_optimization: false }, gone_config: { a: 1 } });
		const { version, config } = await read();
		expect(version).toBe(1);
		expect(config).toStrictEqual({
			...defaultConfig,
			performance_config: { ...defaultConfig.performance_config, memory_optimization: false },
		});
	});

	it("fails aloud on a stored one that no release has written, and answers nothing in its place", async () => {
		await store(1, { limits_config: { reserve_percent: "all" } });
		await expect(read()).rejects.toThrow("reserve_percent");
	});
});

describe("writing", () => {
	it("stores everything, the defaults too, so that a later release does not change it", async () => {
		await put(withQuota(5));
		const rows = await schema.query("select config from config_versions");
		expect(rows).toEqual([{ config: withQuota(5) }]);
	});

	it("stores the first one also when it equals the defaults, and then no second", async () => {
		expect(await put(defaultConfig)).toMatchObject({ ok: true, value: { version: 1 } });
		expect(await put(defaultConfig)).toMatchObject({ ok: true, value: { version: 1 } });
	});

	it("makes no version of what is current already, however it was stored, but commits", async () => {
		await store(1, { limits_config: { roles: { verifier: { window_seconds: 1, quota: 7 } } } });
		let commits = 0;
		const commit: ConfigChange["commit"] = (write) => {
			commits++;
			return write(schema.services.db);
		};
		const same = await put(withQuota(7), { commit, note: "not kept" });
		expect(same).toMatchObject({ ok: true, value: { version: 1, note: null } });
		expect(commits).toBe(1);
	});

	it("counts versions on for each tenant by itself", async () => {
		for (const quota of [1, 2, 3]) await put(withQuota(quota));
		await put(withQuota(1), { tenant: "other" });
		expect((await read()).version).toBe(3);
		expect((await readConfig(schema.services.db, "other")).version).toBe(1);
	});

	it("lets one of many writers at once through for each version, and tells the others", async () => {
		const quotas = Array.from({ length: 8 }, (_, i) => i + 1);
		const results = await Promise.all(quotas.map((quota) => put(withQuota(quota))));
		const written = results.flatMap((result) => (result.ok ? [result.value] : []));
		const refused = results.flatMap((result) => (result.ok ? [] : [result.error.code]));
		expect(written.length).toBeGreaterThan(0);
		expect(new Set(refused)).toEqual(new Set(refused.length > 0 ? ["concurrent_change"] : []));
		expect(written.map(({ version }) => version).sort()).toEqual(written.map((_, i) => i + 1));
		for (const { version, config } of written) {
			expect(await readConfigVersion(schema.services.db, "main", version)).toMatchObject({
				value: { config },
			});
		}
	});

	it("with a precondition lets exactly one of many writers at once through", async () => {
		const quotas = Array.from({ length: 8 }, (_, i) => i + 1);
		const results = await Promise.all(
			quotas.map((quota) => put(withQuota(quota), { expected: [0] })),
		);
		const codes = results.map((result) => (result.ok ? "ok" : result.error.code)).sort();
		expect(codes).toEqual(["ok", ...Array(7).fill("precondition_failed")]);
		expect((await read()).version).toBe(1);
	});

	it.each([
		[[1], true],
		[[0, 1], true],
		[[0], false],
		[[2], false],
		[[], false],
	])("at version 1 with the versions %j expected goes through: %s", async (expected, through) => {
		await put(withQuota(1));
		expect((await put(withQuota(2), { expected })).ok).toBe(through);
		expect((await read()).version).toBe(through ? 2 : 1);
	});
});

describe("going back", () => {
	const back = (version: number, fields?: Partial<ConfigChange>) =>
		rollback(schema.services.db, version, change(fields));

	it("writes a new version with the old content, and says so in its note", async () => {
		for (const quota of [1, 2, 3]) await put(withQuota(quota));
		expect(await back(1)).toMatchObject({
			value: { version: 4, config: withQuota(1), note: "Rollback to version 1" },
		});
		expect(await back(2, { note: "mine" })).toMatchObject({ value: { version: 5, note: "mine" } });
		const rows = await listVersions(schema.services.db, "main", { before: null, size: 10 });
		expect(rows.map(({ version }) => version)).toEqual([5, 4, 3, 2, 1]);
	});

	it("knows the defaults as version 0", async () => {
		await put(withQuota(1));
		expect(await back(0)).toMatchObject({ value: { version: 2, config: defaultConfig } });
	});

	it("to what is current makes no version", async () => {
		await put(withQuota(1));
		expect(await back(1)).toMatchObject({ value: { version: 1, note: null } });
	});

	it("to a version that is not there is refused before anything is announced", async () => {
		const commit: ConfigChange["commit"] = () => Promise.reject(new Error("announced"));
		expect(await back(1, { commit })).toMatchObject({
			error: { code: "config_version_not_found", detail: expect.stringContaining("1") },
		});
	});
});
