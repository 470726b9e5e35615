import * as z from "zod/mini";
import { integer, meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";

/**
 * The schema is made twice from one text: strict for what a caller sends, lenient for what is stored,
 * where a newer release may have left fields that this one does not know. Stored versions live for
 * ever: a bound may be widened and a field added with a default, but neither narrowed nor renamed.
 */
type ObjectOf = typeof z.strictObject;

const quotaOf = (object: ObjectOf) =>
	object({
		quota: integer(1, limits.quotaMax),
		window_seconds: integer(1, limits.quotaWindowSecondsMax),
	});

/** `quota` operations in `window_seconds`: the size of a bucket, and the time in which it fills. */
export type Quota = z.infer<ReturnType<typeof quotaOf>>;

const perMinute = (count: number): Quota => ({ quota: count, window_seconds: 60 });

/** Buckets that callers share. `null` sets no limit beyond that of the tenant. */
function limitsOf(object: ObjectOf, quota: ReturnType<typeof quotaOf>) {
	const quotaOrNull = (byDefault: Quota | null) => z._default(z.nullable(quota), byDefault);
	return object({
		tenant: meta(z._default(quota, perMinute(6_000_000)), {
			description: "What all callers of the tenant have together.",
		}),
		operations: meta(
			z.prefault(
				object({
					sign: quotaOrNull(perMinute(6_000_000)),
					verify: quotaOrNull(perMinute(6_000_000)),
					read: quotaOrNull(perMinute(600_000)),
					list: quotaOrNull(perMinute(60_000)),
					manage: quotaOrNull(perMinute(60_000)),
					revoke: quotaOrNull(perMinute(6_000)),
					configure: z._default(quota, perMinute(600)),
				}),
				{},
			),
			{
				description:
					"By kind of operation; null for no limit beyond the tenant's. `revoke` and `configure` draw from their own limit alone, and `configure` always has one.",
			},
		),
		roles: meta(
			z.prefault(
				object({
					admin: quotaOrNull(null),
					signer: quotaOrNull(null),
					verifier: quotaOrNull(null),
					auditor: quotaOrNull(null),
				}),
				{},
			),
			{ description: "By the token's role; null for no limit beyond the tenant's." },
		),
		reserve_percent: meta(z._default(integer(0, 90), 20), {
			description: "The part of every bucket that only critical operations may take.",
		}),
	});
}

function performanceOf(object: ObjectOf) {
	return object({
		enable_performance_mode: z._default(z.boolean(), false),
		memory_optimization: z._default(z.boolean(), true),
		cache_optimization: z._default(z.boolean(), true),
	});
}

function scalingOf(object: ObjectOf) {
	return object({
		enable_horizontal_scaling: z._default(z.boolean(), false),
		worker_processes: z._default(integer(1, 64), 1),
		shared_memory_size: meta(
			z._default(
				z.string().check(z.regex(/^[1-9][0-9]{0,4}[kmg]$/, 'must be a size such as "64m"')),
				"64m",
			),
			{ description: "A number with k, m or g: KiB, MiB or GiB." },
		),
		coordinator_shards: meta(z._default(integer(1, limits.coordinatorShardsMax), 1), {
			description:
				"Objects among which the buckets of a busy tenant are divided. An isolate spends from one of them, so with more than one every limit must be 1,000 a shard.",
		}),
		audit_shards: meta(z._default(integer(1, limits.auditShardsMax), 1), {
			description: "Objects in each region that a busy tenant's audit records go to.",
		}),
	});
}

function benchmarkingOf(object: ObjectOf) {
	return object({
		enable_benchmarks: z._default(z.boolean(), false),
		benchmark_interval_seconds: z._default(integer(60, 86_400), 300),
		performance_thresholds: z.prefault(
			object({
				max_response_time_ms: z._default(integer(1, 60_000), 100),
				max_memory_usage_mb: z._default(integer(1, 128), 128),
				min_throughput_rps: z._default(integer(1, 1_000_000), 1000),
			}),
			{},
		),
	});
}

function auditOf(object: ObjectOf) {
	return object({
		retention_days: meta(z._default(z.nullable(integer(1, limits.auditRetentionDaysMax)), null), {
			description: "Archived days of the audit log older than this are deleted; null for never.",
		}),
		legal_hold: meta(z._default(z.boolean(), false), {
			description:
				"No deletion of the audit log begins, whatever retention_days says. Once on, it ends by `false` alone: left out, it stays as it is.",
		}),
	});
}

function configOf(object: ObjectOf, quota: ReturnType<typeof quotaOf>) {
	return object({
		performance_config: z.prefault(performanceOf(object), {}),
		scaling_config: z.prefault(scalingOf(object), {}),
		benchmarking_config: z.prefault(benchmarkingOf(object), {}),
		limits_config: z.prefault(limitsOf(object, quota), {}),
		audit_config: z.prefault(auditOf(object), {}),
	});
}

const quota = meta(quotaOf(z.strictObject), {
	id: "Quota",
	description:
		"`quota` operations in `window_seconds`: the size of a bucket, and the time in which it fills.",
});

const wholeConfig = configOf(z.strictObject, quota);
export type TenantConfig = z.infer<typeof wholeConfig>;

/** A tenant's whole configuration as it is sent. What is left out has its default; what is not known is refused. */
export const tenantConfig = meta(
	wholeConfig.check(z.superRefine(keepTheWayBack), z.superRefine(keepShardsUseful)),
	{ id: "TenantConfig" },
);

/** The same as it is stored: fields that are younger than it get their defaults, unknown ones are passed over. */
export const storedConfig = configOf(z.object, quotaOf(z.object));

type Check = (quota: Quota | null, least: number, path: readonly string[], why: string) => void;

function checkOf(context: z.core.$RefinementCtx): Check {
	return (quota, least, path, why) => {
		if (quota === null || quota.quota >= least) return;
		const message = `must be ${least} at least${why}`;
		context.addIssue({ code: "custom", path: ["limits_config", ...path, "quota"], message });
	};
}

/**
 * A change of the configuration is itself an operation with a limit, from which auditors read too.
 * Where that holds next to nothing, nobody could change it back.
 */
function keepTheWayBack(
	{ limits_config, scaling_config }: TenantConfig,
	context: z.core.$RefinementCtx,
): void {
	const { revoke, configure } = limits_config.operations;
	const shards = scaling_config.coordinator_shards;
	const check = checkOf(context);
	const why = ` with coordinator_shards ${shards}, or no admin could change it back`;
	check(configure, shards * limits.configureQuotaMin, ["operations", "configure"], why);
	check(revoke, shards, ["operations", "revoke"], ` with coordinator_shards ${shards}`);
}

/**
 * An isolate spends from one shard alone. Of a small limit too little would be there: a batch would
 * not fit, and what one shard has left is of no use to the isolates of another.
 */
function keepShardsUseful(
	{ limits_config, scaling_config }: TenantConfig,
	context: z.core.$RefinementCtx,
): void {
	const { tenant, operations, roles } = limits_config;
	const shards = scaling_config.coordinator_shards;
	if (shards === 1) return;
	const least = shards * limits.quotaPerShardMin;
	const why = ` with coordinator_shards ${shards}, ${limits.quotaPerShardMin} for each`;
	const check = checkOf(context);
	const { revoke: _, configure: __, ...others } = operations;
	check(tenant, least, ["tenant"], why);
	for (const [name, quota] of Object.entries(others)) {
		check(quota, least, ["operations", name], why);
	}
	for (const [name, quota] of Object.entries(roles)) check(quota, least, ["roles", name], why);
}

/** What a tenant has that never set anything. */
export const defaultConfig: TenantConfig = tenantConfig.parse({});
