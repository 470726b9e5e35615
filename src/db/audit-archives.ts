import { type StoredEventRow, storedEventColumns } from "./audit-events.ts";
import type { Database, Statement } from "./client.ts";

/** A tenant's day (UTC, `YYYY-MM-DD`). */
export interface TenantDay {
	readonly tenant: string;
	readonly day: string;
}

/** How far the archive of a tenant's day has got. */
export interface ArchiveRow {
	readonly round: number;
	readonly state: "writing" | "archived" | "expiring" | "expired";
	readonly parts: number;
	readonly records: number;
	/** The last record that is in a file; null before the first. */
	readonly after_id: string | null;
	readonly chains: unknown;
}

/** A file more, and where the archive of the day is with it. */
export interface NewArchiveFile {
	readonly round: number;
	/** Its number from 0, which is how many there were before it. */
	readonly part: number;
	readonly records: number;
	readonly afterId: string;
	readonly chains: readonly object[];
	readonly file: object;
}

const stateColumns = "round, state, parts, records::float8 as records, after_id, chains";
const dayBegins = (param: string) => `(${param}::date)::timestamp at time zone 'utc'`;
const dayEnds = (param: string) => `(${param}::date + 1)::timestamp at time zone 'utc'`;
const ofDay = (param: string) => `e.at >= ${dayBegins(param)} and e.at < ${dayEnds(param)}`;

/**
 * The day is in R2 alone, and older than the tenant's configuration keeps it. Null, which is no, under
 * a legal hold and where nothing is set.
 */
const isPast = (today: string) =>
	`exists (select from audit_archive_days d where d.day = a.day and d.dropped_at is not null)
		and a.day < ${today}::date - (
			select case when (c.config #>> '{audit_config,legal_hold}')::boolean then null
				else (c.config #>> '{audit_config,retention_days}')::integer end
			from config_versions c where c.tenant_id = a.tenant_id order by c.version desc limit 1)`;

export const statements = {
	oldest: {
		name: "archives.oldest",
		text: `select to_date(right(c.relname, 8), 'YYYYMMDD')::text as day
			from pg_inherits i join pg_class c on c.oid = i.inhrelid
			where i.inhparent = 'audit_events'::regclass and c.relname ~ '^audit_events_[0-9]{8}$'
				and to_date(right(c.relname, 8), 'YYYYMMDD') < $1::date
				and ($2::date is null or to_date(right(c.relname, 8), 'YYYYMMDD') > $2)
				and not exists (select from audit_archive_days d
					where d.day = to_date(right(c.relname, 8), 'YYYYMMDD') and d.dropped_at is not null)
			order by 1 limit 1`,
	},
	// As functions of the owner's: the worker's role can not change the schema.
	close: { name: "archives.close", text: "select public.audit_close_partition($1) as done" },
	drop: { name: "archives.drop", text: "select public.audit_drop_partition($1) as done" },
	// From tenant to tenant along the index, whatever each of them has.
	nextTenant: {
		name: "archives.nextTenant",
		with: `recursive tenants as (
				(select e.tenant_id from audit_events e where ${ofDay("$1")} order by 1 limit 1)
				union all
				select (select e.tenant_id from audit_events e
					where ${ofDay("$1")} and e.tenant_id > t.tenant_id order by 1 limit 1)
				from tenants t where t.tenant_id is not null
			)`,
		text: `select t.tenant_id from tenants t
			where t.tenant_id is not null and t.tenant_id <> all ($2::text[]) and (
				not exists (select from audit_archives a
					where a.tenant_id = t.tenant_id and a.day = $1 and a.state <> 'writing')
				or exists (select from audit_late l where l.tenant_id = t.tenant_id and l.day = $1))
			limit 1`,
	},
	begin: {
		name: "archives.begin",
		text: `insert into audit_archives (tenant_id, day) values ($1, $2) on conflict do nothing`,
	},
	// What is noted is committed, so whoever reads from here on sees it. A note that is not yet, stays.
	restart: {
		name: "archives.restart",
		with: `late as (delete from audit_late where tenant_id = $1 and day = $2 returning 1)`,
		text: `update audit_archives set round = round + 1, state = 'writing', parts = 0, records = 0,
				after_id = null, chains = '[]', manifest = null
			where tenant_id = $1 and day = $2 and exists (select from late)`,
	},
	state: {
		name: "archives.state",
		text: `select ${stateColumns}
			from audit_archives where tenant_id = $1 and day = $2`,
	},
	page: {
		name: "archives.page",
		text: `select ${storedEventColumns}
			from audit_events e
			where e.tenant_id = $1 and ${ofDay("$2")}
				and (e.at, e.id) > (coalesce('epoch'::timestamptz + $3::bigint * interval '1 millisecond',
					${dayBegins("$2")}), $4::uuid)
			order by e.at, e.id limit $5`,
	},
	// Two that write the same file meet here: one of them has it, and the other stops.
	addFile: {
		name: "archives.addFile",
		with: `moved as (
				update audit_archives set parts = parts + 1, records = records + $5, after_id = $6,
					chains = $7::jsonb
				where tenant_id = $1 and day = $2 and round = $3 and parts = $4 and state = 'writing'
				returning ${stateColumns}),
			added as (
				insert into audit_archive_files (tenant_id, day, round, part, file)
				select $1, $2, $3, $4, $8::jsonb from moved)`,
		text: "select * from moved",
	},
	files: {
		name: "archives.files",
		text: `select file from audit_archive_files
			where tenant_id = $1 and day = $2 and round = $3 order by part`,
	},
	finish: {
		name: "archives.finish",
		with: `finished as (
				update audit_archives set state = 'archived', manifest = decode($5, 'hex')
				where tenant_id = $1 and day = $2 and round = $3 and parts = $4 and state = 'writing'
				returning 1),
			gone as (
				delete from audit_archive_files where tenant_id = $1 and day = $2
					and exists (select from finished))`,
		text: "select 1 as done from finished",
	},
	archived: {
		name: "archives.archived",
		text: `select day::text, round, state, encode(manifest, 'hex') as manifest from audit_archives
			where tenant_id = $1 and state in ('archived', 'expiring')
				and day >= $2::date and day <= $3::date
			order by day desc limit $4`,
	},
	expiredDays: {
		name: "archives.expiredDays",
		text: `select day::text, round, state, encode(manifest, 'hex') as manifest from audit_archives
			where tenant_id = $1 and state in ('expiring', 'expired')
				and day >= $2::date and day <= $3::date and ($4::date is null or day < $4::date)
			order by day desc limit $5`,
	},
	// Also of what has begun: a legal hold keeps what is not gone yet. In any order: days that fail each time must not
	// stand before the others for ever.
	expirable: {
		name: "archives.expirable",
		text: `select a.tenant_id as tenant, a.day::text, a.state from tenants t
			cross join lateral (
				select a.tenant_id, a.day, a.state from audit_archives a
				where a.tenant_id = t.id and a.state in ('archived', 'expiring') order by a.day limit $2) a
			where ${isPast("$1")}
			order by random() limit $2`,
	},
	// The deletion and its record: neither is there without the other. It waits for nobody: it would decide by what
	// was configured before the wait.
	expire: {
		name: "archives.expire",
		effect: "target_name",
		target: { name: "target_name" },
		with: `past as (
				select a.tenant_id, a.day from audit_archives a
				where a.tenant_id = $1 and a.day = $2 and a.state = 'archived' and ${isPast("$3")}
				for update skip locked)`,
		text: `update audit_archives a set state = 'expiring' from past
			where a.tenant_id = $1 and a.day = past.day
			returning a.day::text as target_name`,
	},
	stillPast: {
		name: "archives.stillPast",
		text: `select 1 from audit_archives a
			where a.tenant_id = $1 and a.day = $2 and a.state = 'expiring' and ${isPast("$3")}`,
	},
	expired: {
		name: "archives.expired",
		text: `update audit_archives set state = 'expired'
			where tenant_id = $1 and day = $2 and state = 'expiring' returning 1`,
	},
} as const satisfies Record<string, Statement>;

/**
 * The oldest day before this one, and behind another one, that has a partition to be archived; null for none. One
 * that was made anew after the day was dropped (by earlier migrations, where the clock came back) stays as it is.
 */
export async function oldestDay(
	db: Database,
	before: string,
	behind: string | null = null,
): Promise<string | null> {
	const [row] = await db.query<{ day: string }>(statements.oldest, [before, behind]);
	return row?.day ?? null;
}

/** From here on no record comes to the day unnoticed. */
export async function closeDay(db: Database, day: string): Promise<void> {
	await db.query(statements.close, [day]);
}

/** Drops the day's partition. Refused by Postgres unless each tenant's records of it are archived. */
export async function dropDay(db: Database, day: string): Promise<void> {
	await db.query(statements.drop, [day]);
}

/** A tenant, but none of these, whose records of a closed day are not all archived; null when there is none any more. */
export async function unarchivedTenant(
	db: Database,
	day: string,
	except: readonly string[] = [],
): Promise<string | null> {
	const [row] = await db.query<{ tenant_id: string }>(statements.nextTenant, [day, except]);
	return row?.tenant_id ?? null;
}

/** How far the archive has got. It begins here, or begins anew where a record came late. */
export async function openArchive(db: Database, { tenant, day }: TenantDay): Promise<ArchiveRow> {
	const [, , rows] = await db.transaction([
		{ statement: statements.begin, params: [tenant, day] },
		{ statement: statements.restart, params: [tenant, day] },
		{ statement: statements.state, params: [tenant, day] },
	]);
	const [row] = (rows ?? []) as unknown as readonly ArchiveRow[];
	if (!row) throw new Error("the archive of a day was not begun");
	return row;
}

/** Records of a day in the order of their ids: those after `after`, which is of that time. */
export async function archivePage(
	db: Database,
	{ tenant, day }: TenantDay,
	after: { readonly id: string; readonly at: number | null },
	size: number,
): Promise<StoredEventRow[]> {
	return db.query<StoredEventRow>(statements.page, [tenant, day, after.at, after.id, size]);
}

/**
 * How far the archive is with this file; null when another run was first, or began anew. It is what
 * Postgres has and not what the caller put in, so that all runs go on from the same bytes.
 */
export async function addArchiveFile(
	db: Database,
	{ tenant, day }: TenantDay,
	{ round, part, records, afterId, chains, file }: NewArchiveFile,
): Promise<ArchiveRow | null> {
	const json = [JSON.stringify(chains), JSON.stringify(file)];
	const params = [tenant, day, round, part, records, afterId, ...json];
	return (await db.query<ArchiveRow>(statements.addFile, params))[0] ?? null;
}

/** What was noted of each file, in their order. */
export async function archiveFiles(
	db: Database,
	{ tenant, day }: TenantDay,
	round: number,
): Promise<unknown[]> {
	const rows = await db.query<{ file: unknown }>(statements.files, [tenant, day, round]);
	return rows.map(({ file }) => file);
}

/** Notes that the day is in R2, under a manifest of this SHA-256 (hexadecimal). Whether it still could be. */
export async function finishArchive(
	db: Database,
	{ tenant, day }: TenantDay,
	{ round, parts }: Pick<ArchiveRow, "round" | "parts">,
	manifest: string,
): Promise<boolean> {
	const rows = await db.query(statements.finish, [tenant, day, round, parts, manifest]);
	return rows.length > 0;
}

/** A day that is in R2, or was, and the round whose files have it. */
export interface ArchivedDay extends Pick<ArchiveRow, "round" | "state"> {
	readonly day: string;
	/** SHA-256 of what its manifest says, in hexadecimal. */
	readonly manifest: string;
}

/** From one day to another, both included. */
export interface DayRange {
	readonly from: string;
	readonly to: string;
}

/** A tenant's archived days among these, the newest first. Of those that are `expiring` the archive knows whether it has them (isKept). */
export async function archivedDays(
	db: Database,
	tenant: string,
	{ from, to }: DayRange,
	atMost: number,
): Promise<ArchivedDay[]> {
	return db.query<ArchivedDay>(statements.archived, [tenant, from, to, atMost]);
}

/** Days among these whose files are deleted, or are to be: those before `before`, the newest first. */
export async function expiredDays(
	db: Database,
	tenant: string,
	{ from, to }: DayRange,
	before: string | null,
	atMost: number,
): Promise<ArchivedDay[]> {
	return db.query<ArchivedDay>(statements.expiredDays, [tenant, from, to, before, atMost]);
}

export interface ExpirableRow extends TenantDay, Pick<ArchiveRow, "state"> {}

/** Days that are in R2 alone and older than their tenant keeps them, before `today`. */
export async function expirableDays(
	db: Database,
	today: string,
	atMost: number,
): Promise<ExpirableRow[]> {
	return db.query<ExpirableRow>(statements.expirable, [today, atMost]);
}

/** From here on the day's files may be deleted. Whether it is still past its time, and nobody else is at it. */
export async function expireDay(
	db: Database,
	{ tenant, day }: TenantDay,
	today: string,
): Promise<boolean> {
	return (await db.query(statements.expire, [tenant, day, today])).length > 0;
}

/** Whether a day whose deletion was decided is to be deleted now: a hold may have come since. */
export async function isStillPast(
	db: Database,
	{ tenant, day }: TenantDay,
	today: string,
): Promise<boolean> {
	return (await db.query(statements.stillPast, [tenant, day, today])).length > 0;
}

/** The day's files are deleted. */
export async function noteExpired(db: Database, { tenant, day }: TenantDay): Promise<void> {
	await db.query(statements.expired, [tenant, day]);
}
