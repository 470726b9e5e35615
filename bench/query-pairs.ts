import { selectEvents } from "../src/db/audit-reads.ts";
import { selectRuns } from "../src/db/benchmarks.ts";
import type { Database, Param } from "../src/db/client.ts";
import { firstId, lastId } from "../src/db/columns.ts";
import { purgeEffects } from "../src/db/effects.ts";
import { selectKeys } from "../src/db/keys.ts";
import { publishedKeys } from "../src/db/published-keys.ts";
import { findToken } from "../src/db/tokens.ts";
import { allTargets, selectUsage, usedKeys } from "../src/db/usage.ts";
import { toHex, utf8 } from "../src/lib/bytes.ts";
import { sha256 } from "../src/lib/sha256.ts";
import * as limits from "../src/limits.ts";
import { algorithmNames } from "../src/model.ts";
import { keyIdOf, mainTenant as tenant } from "./skewed-data.ts";

const hourMs = 3_600_000;
const today = Math.floor(Date.now() / (24 * hourMs)) * 24 * hourMs;
/** In the middle of the days that there are: who looks into the log seldom means its newest hours. */
const noon = today - 36 * hourMs;
const dayAgo = (days: number) => new Date(today - days * 24 * hourMs).toISOString().slice(0, 10);

/** What is asked on a screen or by a job, as one writes it first and as the service asks it. */
export interface QueryPair {
	readonly id: string;
	readonly of: string;
	readonly naive: { readonly text: string; readonly params: readonly Param[] };
	readonly shipped: (db: Database) => Promise<readonly object[]>;
	/** Of a row of either, what has to be the same in both. */
	readonly same: (row: Readonly<Record<string, unknown>>) => unknown;
}

const pageSize = limits.pageSizeDefault + 1;
const tokenHash = toHex(sha256(utf8("0/77")));

export const queryPairs: readonly QueryPair[] = [
	{
		id: "queries/keys",
		of: "keys with their latest version and last use",
		naive: {
			text: `select k.id, max(v.version) as current_version,
					(max(e.at) at time zone 'utc')::date::text as last_used_on
				from keys k
				join key_versions v on v.tenant_id = k.tenant_id and v.key_id = k.id
				left join audit_events e on e.tenant_id = k.tenant_id and e.target_id = k.id
				where k.tenant_id = $1 and k.id > $2 and (k.delete_at is null or k.delete_at > now())
				group by k.tenant_id, k.id order by k.id limit $3`,
			params: [tenant, firstId, pageSize],
		},
		shipped: (db) => usedKeys(db, tenant, { after: firstId, size: pageSize }),
		same: ({ id, current_version, last_used_on }) => [id, current_version, last_used_on],
	},
	{
		id: "queries/tags",
		of: "keys with a tag that few have",
		naive: {
			text: `select k.id from keys k where k.tenant_id = $1 and k.id > $2
					and (k.delete_at is null or k.delete_at > now()) and k.tags ->> 'service' = $3
				order by k.id limit $4`,
			params: [tenant, firstId, "service-3000", pageSize],
		},
		shipped: (db) => {
			const filter = { tags: { service: "service-3000" }, namePatterns: null };
			return selectKeys(db, tenant, filter, { after: firstId, size: pageSize });
		},
		same: ({ id }) => id,
	},
	{
		id: "queries/audit",
		of: "records of a key in an hour",
		naive: {
			text: `select e.id from audit_events e
				where e.tenant_id = $1 and e.target_id = $2 and date_trunc('hour', e.at) = $3
				order by e.at desc, e.id desc limit $4`,
			params: [tenant, keyIdOf(0), new Date(noon).toISOString(), pageSize],
		},
		shipped: async (db) => {
			const query = {
				...{ targetId: keyIdOf(0), from: noon, to: noon + hourMs, limit: pageSize, scan: pageSize },
				...{ targetName: null, tokenId: null, action: null, before: null },
			};
			return (await selectEvents(db, tenant, query)).events;
		},
		same: ({ id }) => id,
	},
	{
		id: "queries/usage",
		of: "usage of a tenant by day",
		naive: {
			text: `select (e.at at time zone 'utc')::date::text as day, sum(e.cost)::float8 as cost,
					(count(*) filter (where e.outcome = 'ok' and e.action like 'sign%'))::float8 as signatures
				from audit_events e where e.tenant_id = $1 and e.at >= $2::timestamptz
				group by 1 order by 1 desc limit $3`,
			params: [tenant, `${dayAgo(3)}T00:00:00Z`, pageSize],
		},
		shipped: (db) =>
			selectUsage(db, tenant, {
				...{ from: dayAgo(3), to: dayAgo(0), targetId: allTargets, size: pageSize },
				before: { day: dayAgo(-1), targetId: lastId },
			}),
		same: ({ day, cost, signatures }) => [day, cost, signatures],
	},
	{
		id: "queries/token",
		of: "a token by its hash",
		naive: {
			text: "select t.id from tokens t where t.tenant_id = $1 and encode(t.secret_hash, 'hex') = $2",
			params: [tenant, tokenHash],
		},
		shipped: async (db) => {
			const token = await findToken(db, tenant, tokenHash);
			return token ? [token] : [];
		},
		same: ({ id }) => id,
	},
	{
		id: "queries/trends",
		of: "the newest hundred benchmark runs",
		naive: {
			text: "select r.* from benchmark_runs r where r.tenant_id = $1 order by r.at desc limit $2",
			params: [tenant, limits.benchmarkHistoryRuns],
		},
		shipped: (db) => selectRuns(db, tenant, { after: lastId, size: limits.benchmarkHistoryRuns }),
		same: ({ id }) => id,
	},
	{
		id: "queries/published",
		of: "the public keys of a tenant with many",
		naive: {
			text: `select t.id as tenant, k.id, k.algorithm, v.version, v.public_jwk
				from tenants t
				left join (keys k join key_versions v on v.tenant_id = k.tenant_id and v.key_id = k.id
						and v.version between k.min_verify_version and k.current_version)
					on k.tenant_id = t.id and k.state = 'enabled' and k.algorithm = any ($3)
						and v.public_jwk is not null and v.sealed is not null
				where t.id = $1 order by k.id desc, v.version desc limit $2`,
			params: [tenant, limits.jwksKeys, algorithmNames],
		},
		shipped: async (db) => (await publishedKeys(db, tenant, algorithmNames)) ?? [],
		same: ({ id, version }) => [id, version],
	},
	{
		id: "queries/purge",
		of: "a purge of ten thousand marks of old requests",
		naive: {
			text: `delete from effects where (tenant_id, id, attempt) in (
					select tenant_id, id, attempt from effects
					where created_at < now() - make_interval(hours => $1) order by created_at limit $2)
				returning tenant_id`,
			params: [limits.effectsKeptHours, limits.purgeEffectsPerRun],
		},
		shipped: async (db) => {
			const purged = await purgeEffects(db, limits.purgeEffectsPerRun);
			return Array.from({ length: purged }, () => ({}));
		},
		same: () => 1,
	},
];
