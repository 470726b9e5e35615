import { env } from "cloudflare:workers";
import { type ArchiveBounds, type ArchiveServices, archiveSlice } from "../../src/audit/archive.ts";
import { type Archive, inTime } from "../../src/audit/archive-bucket.ts";
import type { LinkedRecord } from "../../src/audit/block.ts";
import { chainStart, leafOf, linked } from "../../src/audit/chain.ts";
import { placeNamed } from "../../src/audit/log.ts";
import { loadManifest, type Manifest } from "../../src/audit/manifest.ts";
import { packRecords } from "../../src/audit/pack.ts";
import { openParquet, readRecords } from "../../src/audit/parquet.ts";
import { encodeAppend, firstRecordId, numberOf, splitAppend } from "../../src/audit/record.ts";
import type { SourcedRecord } from "../../src/audit/source.ts";
import type { TenantDay } from "../../src/db/audit-archives.ts";
import { insertEvents } from "../../src/db/audit-events.ts";
import type { Database, Param, Statement } from "../../src/db/client.ts";
import { toHex } from "../../src/lib/bytes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { restFor } from "../../src/lib/neighbour.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import { createServices } from "../../src/services.ts";
import { ownerSql } from "../support/tenant.ts";

/** Days of this file that there is still something of: each has a year of its own, and archives nothing of the others. */
let ownDays: string[] = [];
let daysMade = 0;

/** Of the service and of the archive's worker together. */
export const everything = {
	...createServices(env),
	archive: inTime(env.ARCHIVE),
	rest: restFor([], 1_000),
};
const { db } = everything;
export const services = {
	...everything,
	db: { ...db, query: ((statement, params) => inOwn(statement, params)) as Database["query"] },
};

async function inOwn<Row>(statement: Statement, params: readonly Param[]): Promise<Row[]> {
	if (statement.name !== "archives.oldest") return db.query(statement, params);
	const [, behind] = params;
	const days = ownDays.filter((day) => day > String(behind ?? ""));
	const [first] = await ownerSql().query(
		`select nth::int from unnest($1::text[]) with ordinality as of (name, nth)
		where to_regclass(name) is not null order by nth limit 1`,
		[days.map(partitionOf)],
	);
	return first ? ([{ day: days[first.nth - 1] }] as Row[]) : [];
}

/** The services, for a clock of which the days of all tenants but this one are not over: tests share a database. */
export function expiringOnly<Some extends ArchiveServices>(tenant: string, using: Some): Some {
	const query = async (statement: Statement, params: readonly Param[]) => {
		if (statement.name !== "archives.expirable") return using.db.query(statement, params);
		const rows = await using.db.query<TenantDay>(statement, [params[0] ?? null, 10_000]);
		return rows.filter((row) => row.tenant === tenant);
	};
	return { ...using, db: { ...using.db, query: query as Database["query"] } };
}

export const hotDays = 30;
/** Files and pages that are small, and runs that are not. */
export const small: ArchiveBounds = {
	fileRecords: 8,
	pageRecords: 3,
	filesPerRun: 1000,
	runMs: 60_000,
};

/** A day of its own, long over, with a partition. */
export async function newDay(year = 1980): Promise<string> {
	const begin = Date.UTC(year, 0, 1 + daysMade++);
	const [day, next] = [begin, begin + 24 * 3600 * 1000].map((at) => new Date(at).toISOString());
	await ownerSql().query(
		`create table ${partitionOf(String(day))} partition of audit_events
		for values from ('${day}') to ('${next}')`,
	);
	ownDays.push(String(day).slice(0, 10));
	return String(day).slice(0, 10);
}

function partitionOf(day: string): string {
	return `audit_events_${day.slice(0, 10).replaceAll("-", "")}`;
}

export async function isThere(day: string): Promise<boolean> {
	const rows = await ownerSql().query("select to_regclass($1) as name", [partitionOf(day)]);
	return rows[0]?.name !== null;
}

/** Whatever is left of the days that tests made. */
export async function dropDays(): Promise<void> {
	const names = ownDays.map(partitionOf);
	ownDays = [];
	if (names.length > 0) await ownerSql().query(`drop table if exists ${names.join(", ")}`);
}

export function newTenantName(): string {
	return `archive-${toHex(systemRandom(6))}`;
}

const targets = [
	"01900000-0000-7000-8000-00000000000a",
	"01900000-0000-7000-8000-00000000000b",
	null,
] as const;

/** Records of all kinds over the day, in two chains, brought to Postgres as the log does. By their ids. */
export async function fill(
	{ tenant, day }: TenantDay,
	count: number,
	from = 0,
): Promise<SourcedRecord[]> {
	const all: SourcedRecord[] = [];
	for (const shard of [0, 1]) {
		const chain = { tenant, region: "weur", shard, id: uuidv7(systemClock, systemRandom) };
		let head = chainStart(chain);
		const records: SourcedRecord[] = [];
		const linkedRecords: LinkedRecord[] = [];
		for (let i = shard; i < count; i += 2) {
			const at = Date.parse(day) + Math.floor((24 * 3600 * 1000 * (i + from)) / (count + from));
			const record = recordAt(tenant, at, i);
			const [encoded] = splitAppend(
				encodeAppend({ ...record, id: firstRecordId(record.id) }, [record]),
			);
			if (!encoded) throw new Error("nothing was encoded");
			head = linked(head, leafOf(encoded));
			linkedRecords.push({ ...encoded, ...head });
			records.push({ record, chain: chain.id, ...head });
		}
		// As an object does before its first record; it has lost its storage since.
		const place = placeNamed(tenant, chain.region, shard);
		await services.coordinator.chainBegan(tenant, place, chain.id);
		await insertEvents(services.db, chain, packRecords(linkedRecords));
		all.push(...records);
	}
	return all.sort((a, b) => (a.record.id < b.record.id ? -1 : 1));
}

function recordAt(tenant: string, at: number, i: number): SourcedRecord["record"] {
	const id = uuidv7(() => at, systemRandom);
	const isChange = i % 5 === 4;
	return {
		id,
		number: numberOf(id),
		requestId: uuidv7(() => at, systemRandom),
		tenant,
		tokenId: i % 7 === 6 ? null : "01900000-0000-7000-8000-000000000001",
		action: isChange ? "createKey" : "sign",
		target: {
			id: targets[i % targets.length] ?? null,
			name: isChange ? "" : `schlüssel-${i % 3}`,
			version: i % 4,
			algorithm: isChange ? "" : "Ed25519",
		},
		address: i % 2 === 0 ? "" : "2001:db8::1",
		inputKind: isChange ? null : i % 2 === 0 ? "message" : "digest",
		input: isChange ? null : systemRandom(32),
		signature: isChange ? null : systemRandom(32),
		cost: i % 3 === 0 ? 2_000_000_000 : 100,
		outcome: i % 6 === 5 ? "key_disabled" : "ok",
	};
}

/** Archives until there is nothing left to do. */
export async function archiveAll(bounds = small, using: ArchiveServices = services) {
	for (let run = 0; run < 100; run++) {
		if ((await archiveSlice(using, hotDays, bounds)) === 0) return;
	}
	throw new Error("there is always something left to archive");
}

export async function stateOf({ tenant, day }: TenantDay) {
	const [row] = await ownerSql().query(
		`select state, round, parts, records::int, encode(manifest, 'hex') as manifest
		from audit_archives where tenant_id = $1 and day = $2`,
		[tenant, day],
	);
	return row ?? null;
}

export async function manifestOf(of: TenantDay): Promise<Manifest> {
	const state = await stateOf(of);
	const { round, manifest } = state ?? { round: 0, manifest: "" };
	const day = { day: of.day, round, manifest, state: "archived" } as const;
	return loadManifest(env.ARCHIVE, of.tenant, day);
}

/** All records of a tenant's day that are in R2, in the order of the files. */
export async function archived(of: TenantDay): Promise<SourcedRecord[]> {
	const records: SourcedRecord[] = [];
	for (const { key } of (await manifestOf(of)).files) records.push(...(await recordsIn(key)));
	return records;
}

export async function recordsIn(key: string): Promise<SourcedRecord[]> {
	const bytes = await (await env.ARCHIVE.get(key))?.arrayBuffer();
	if (!bytes) throw new Error(`${key} is not there`);
	const slice = (from: number, to?: number) => bytes.slice(from, to);
	return readRecords(await openParquet({ byteLength: bytes.byteLength, slice }));
}

export async function keysUnder(prefix: string): Promise<string[]> {
	return (await env.ARCHIVE.list({ prefix })).objects.map(({ key }) => key);
}

/** The services, of which the call number `at` to Postgres or R2 fails: before it is done, or after. */
export function failingAt(at: number, isDone: boolean) {
	let calls = 0;
	async function counted<T>(run: () => Promise<T>): Promise<T> {
		calls++;
		if (calls < at) return run();
		if (calls === at && isDone) await run();
		throw new Error("killed");
	}
	const { db, archive } = services;
	const failing: ArchiveServices = {
		...services,
		log: () => {},
		db: {
			query: (statement, params) => counted(() => db.query(statement, params)),
			transaction: (list) => counted(() => db.transaction(list)),
		},
		archive: wrapBucket(archive, counted),
	};
	return { services: failing, calls: () => calls };
}

export function wrapBucket(
	bucket: Archive,
	around: <T>(run: () => Promise<T>, key: string) => Promise<T>,
): Archive {
	return new Proxy(bucket, {
		get(target, name) {
			const value: unknown = Reflect.get(target, name);
			if (typeof value !== "function") return value;
			return (...args: unknown[]) => around(() => value.apply(target, args), String(args[0]));
		},
	});
}
