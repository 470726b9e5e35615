import type pg from "pg";

const dayMs = 24 * 3600 * 1000;

/** Who has half of everything. All others have numbers, and the lower theirs is the more they have. */
export const mainTenant = "main";
const others = 200;

export interface SkewedSizes {
	/** Records of the audit log, over `days` days that end today. */
	readonly events: number;
	readonly days: number;
	/** Of the main tenant; the other ones have half as many together. The rest goes with it. */
	readonly keys: number;
}

/** Some key of the main tenant; the one of number 0 is used most. */
export function keyIdOf(number: number): string {
	return `01900000-0000-7000-8000-${number.toString(16).padStart(12, "0")}`;
}

/**
 * Rows of every table that grows, by statements that make them in the server: skewed over tenants, keys
 * and hours, the same each time but for the day on which they are made. Of the owner's connection.
 */
export async function seedSkewed(client: pg.Client, sizes: SkewedSizes): Promise<void> {
	const today = Math.floor(Date.now() / dayMs) * dayMs;
	const first = today - (sizes.days - 1) * dayMs;
	await client.query("set synchronous_commit = off"); // what is lost is made anew
	await client.query(helpers);
	await client.query("set session_replication_role = replica"); // no row is looked up for another's sake
	for (const statement of statementsOf(sizes)) await client.query(statement);
	await client.query("set session_replication_role = origin");
	for (let day = 0; day < sizes.days; day++) {
		const [begins, ends] = [day, day + 1].map((n) => new Date(first + n * dayMs).toISOString());
		await seedDay(client, sizes, day, `${begins}`, `${ends}`);
	}
	await client.query(notes);
	await client.query("analyze");
}

/** Draws that are the same in every run, and ids by the numbers of what they are of. */
const helpers = `
	create function pg_temp.draw(n bigint, seed bigint) returns float8 language sql immutable return
		(hashint8extended(n, seed) & 16777215)::float8 / 16777216;
	create function pg_temp.rank(n bigint, seed bigint, size bigint) returns bigint language sql immutable return
		least(size - 1, floor(power(size + 1, pg_temp.draw(n, seed)))::bigint - 1);
	create function pg_temp.who(n bigint) returns bigint language sql immutable return
		case when pg_temp.draw(n, 1) < 0.5 then 0 else 1 + pg_temp.rank(n, 2, ${others}) end;
	create function pg_temp.tenant(t bigint) returns text language sql immutable return
		case t when 0 then '${mainTenant}' else 'tenant-' || t end;
	create function pg_temp.id(t bigint, n bigint) returns uuid language sql immutable return
		encode(int8send(${0x0190000000007000n} | (t << 16)) || int8send((${-(2n ** 63n)}) | n), 'hex')::uuid`;

/** Of changes whose records have come to the log, and of some whose requests were cut off. */
const notes = `insert into audit_outbox (tenant_id, id, at, place, request_id, action, address, cost, created_at)
	select tenant_id, id, at, tenant_id || '/weur/0', request_id, action, '', 0, now() from
		(select * from audit_events where tenant_id = '${mainTenant}' and at >= current_date limit 200) moved
	union all select pg_temp.tenant(n), pg_temp.id(n, n), now(), pg_temp.tenant(n) || '/weur/0', pg_temp.id(n, n),
		'rotateKey', '', 0, now() - n * interval '1 second' from generate_series(0::bigint, ${others}) n`;

/** Rows t and n: the main tenant has so many, the others half as many together. */
const each = (
	count: number,
) => `(select 0::bigint as t, n from generate_series(0::bigint, ${count - 1}) n
	union all select t, n from generate_series(1::bigint, ${others}) t,
		generate_series(0::bigint, ${Math.ceil(count / 2 / others)} - 1) n) rows (t, n)`;

function statementsOf({ keys }: SkewedSizes): string[] {
	const tokens = keys / 2;
	return [
		`insert into tenants select pg_temp.tenant(t) from generate_series(0::bigint, ${others}) t`,
		`insert into tokens (tenant_id, id, name, role, secret_hash)
			select pg_temp.tenant(t), pg_temp.id(t, n), 'token-' || n, 'signer',
				sha256(convert_to(t || '/' || n, 'utf8')) from ${each(tokens)}`,
		`insert into keys (tenant_id, id, name, algorithm, state, has_private, current_version, tags, delete_at)
			select pg_temp.tenant(t), pg_temp.id(t, n), 'key-' || n,
				(array['Ed25519', 'ES256', 'RS256'])[1 + pg_temp.rank(n, 3, 3)],
				case when n % 100 = 99 then 'pending_deletion' when n % 20 = 19 then 'disabled' else 'enabled' end,
				true, case when n % 10 = 5 then 10 else 1 end,
				jsonb_build_object('team', 'team-' || pg_temp.rank(n, 4, 30), 'service', 'service-' || n / 10),
				case when n % 100 = 99 then now() + (n % 30 + 1) * interval '1 day' end
			from ${each(keys)}`,
		`insert into key_versions (tenant_id, key_id, version, public_jwk, kek_id, sealed)
			select k.tenant_id, k.id, v, '{"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}',
				case when k.name like '%7' and v = 1 then 'kek-1' else 'kek-2' end, decode(repeat('ab', 60), 'hex')
			from keys k, generate_series(1, k.current_version) v`,
		`insert into spare_keys select 2048 + 1024 * (n % 3), pg_temp.id(0, n), '{}', 'kek-2', ''
			from generate_series(1::bigint, 12) n`,
		`insert into config_versions (tenant_id, version, config)
			select pg_temp.tenant(t), n + 1, jsonb_build_object('benchmarking_config',
				jsonb_build_object('enable_benchmarks', t < 20, 'benchmark_interval_seconds', 300))
			from ${each(1_000)}`,
		`insert into effects (tenant_id, id, attempt, resource, created_at)
			select pg_temp.tenant(t), pg_temp.id(t, n), 1, 'x', now() - n * interval '4 seconds' from ${each(1.5 * keys)}`,
		`insert into audit_chains select pg_temp.tenant(t), pg_temp.id(t, n), 'weur', n from ${each(16)}`,
		`insert into audit_archive_days (day, closed_at, dropped_at)
			select current_date - n::int, now(), case when n > 40 then now() end from generate_series(31, 430) n`,
		`insert into audit_archives (tenant_id, day, parts, state, manifest)
			select pg_temp.tenant(t), current_date - 31 - n::int, 10, case when n = 0 then 'writing'
				when n > 380 then 'expired' else 'archived' end, sha256('manifest')
			from generate_series(0::bigint, ${others}) t, generate_series(0, 399) n where n % (1 + t) = 0`,
		`insert into audit_archive_files select tenant_id, day, 0, n, '{}' from audit_archives,
			generate_series(0, 9) n where state = 'writing'`,
		`insert into audit_late select tenant_id, day from audit_archives where state = 'writing' and tenant_id < 'tenant-11'`,
		`insert into benchmark_turns select pg_temp.tenant(t), now() - t * interval '30 seconds', 300
			from generate_series(0::bigint, 19) t`,
		// As many times of a tenant as are kept, and ids in their order, as those of version 7 are.
		`insert into benchmark_runs select pg_temp.tenant(t), pg_temp.id(t, n), 'schedule',
				now() - (1500 - n) * interval '31 minutes',
				'{"signMs": 1.5, "verifyMs": 2.5}', '{}'
			from generate_series(0::bigint, 39) t, generate_series(0::bigint, 1500) n`,
		`insert into alerts (tenant_id, id, rule, subject, advice, raised_at, resolved_at)
			select pg_temp.tenant(t), pg_temp.id(t, n), 'slow', 'signMs/' || n, 'look', now() - n * interval '1 hour',
				case when n > 5 then now() - n * interval '50 minutes' end from ${each(keys / 4)}`,
		// Of days whose records are not in Postgres any more.
		`insert into usage_daily select pg_temp.tenant(t), current_date - 31 - d, pg_temp.id(t, k), 9, 0, 0, 0, 900
			from generate_series(0::bigint, 20) t, generate_series(0, 360) d,
				generate_series(0::bigint, case t when 0 then 60 else 2 end) k`,
	];
}

/** Indexes are made when all rows are there. What counts the service's records counts these. */
async function seedDay(
	client: pg.Client,
	{ events, days, keys }: SkewedSizes,
	day: number,
	begins: string,
	ends: string,
): Promise<void> {
	const name = `audit_events_${begins.slice(0, 10).replaceAll("-", "")}`;
	const count = Math.round(events / days);
	const from = day * count;
	await client.query(`drop table if exists ${name}`);
	await client.query(`create table ${name} (like audit_events including constraints)`);
	await client.query(`create trigger counts after insert on ${name} referencing new table as added
		for each statement execute function audit_count_usage()`);
	await client.query(`insert into ${name} (tenant_id, at, id, request_id, token_id, action, target_id,
			target_name, version, algorithm, address, input_kind, input, signature, cost, outcome, chain,
			sequence, link)
		select tenant, '${begins}'::timestamptz + (n - ${from}) * interval '1 day' / ${count},
			id, id, pg_temp.id(t, pg_temp.rank(n, 5, 60)),
			case when n % 500 = 0 then 'rotateKey' when n % 80 = 0 then 'verify' else 'sign' end,
			pg_temp.id(t, k), 'key-' || k, 1, 'Ed25519', '198.51.100.' || k % 200, 'message',
			'\\x${"11".repeat(32)}', '\\x${"22".repeat(32)}', 100,
			case when n % 80 = 0 and n % 500 <> 0 then 'invalid' when n % 70 = 0 then 'key_disabled' else 'ok' end,
			'${keyIdOf(0)}', n, '\\x${"33".repeat(32)}'
		from (select n, t, pg_temp.tenant(t) as tenant, pg_temp.id(t, n) as id,
				pg_temp.rank(n, 6, case t when 0 then ${keys} else ${Math.ceil(keys / 2 / others)} end) as k
			from (select n, pg_temp.who(n) as t
				from generate_series(${from}::bigint, ${from + count - 1}) n offset 0) whose offset 0) rows`);
	await client.query(`drop trigger counts on ${name}`);
	await client.query(`alter table audit_events attach partition ${name}
		for values from ('${begins}') to ('${ends}')`);
}
