import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { parseKeyEncryptionKeys } from "../src/lib/keks.ts";
import { logLevelOf, logLevels } from "../src/lib/log-levels.ts";
import * as limits from "../src/limits.ts";
import { announceStack, type StackAddresses, withdrawStack } from "./connect.ts";
import { withDatabase } from "./database.ts";
import { type AdminToken, adminToken, type DataFolder, keyEncryptionKeys } from "./folder.ts";
import type { Guard } from "./guard.ts";
import { grantApplicationRights, migrate } from "./migrate.ts";
import { startNeonGateway } from "./neon.ts";
import { wholeNumber } from "./options.ts";
import { startPostgres, workerRole } from "./postgres.ts";
import { Problem } from "./problem.ts";
import { givenRedis, type RedisEngineName, startRedisGateway } from "./redis.ts";
import { ensureAdmin, isGoodToken } from "./tenants.ts";
import { allSettledOrThrow, type Undo } from "./undo.ts";

/** The tenant that every new data folder has. */
export const firstTenant = "main";

export interface ServicesOptions {
	readonly folder: DataFolder;
	readonly guard: Guard;
	/** Gets how to stop each part, as soon as the part runs. */
	readonly undo: Undo;
	/** False for tests: see startPostgres. */
	readonly durable: boolean;
	/** Where the worker will answer: for other commands to find it. */
	readonly urls: readonly string[];
}

export interface Services extends StackAddresses {
	/** The worker's variables and secrets. */
	readonly vars: Readonly<Record<string, string>>;
	readonly redisEngine: RedisEngineName;
	/** Of the first tenant. */
	readonly admin: AdminToken;
	/** Whether it still lets anybody in. */
	readonly adminIsGood: boolean;
	/** Ids of key-encryption keys that keys are sealed under and that nobody gave. */
	readonly missingKeks: readonly string[];
	/** Settles, with a line for a person, when a part ends that is not started again. */
	readonly died: Promise<string>;
}

/** Starts all that the worker needs beside itself: PostgreSQL with the schema, and the gateways. */
export async function startServices(options: ServicesOptions): Promise<Services> {
	const { folder, undo, urls } = options;
	const chosen = { LOG_LEVEL: logLevel(), ...hotDays() };
	givenRedis(); // refused before PostgreSQL is waited for
	// Before PostgreSQL makes its files: a folder that has those must have the keys.
	const keys = await keyEncryptionKeys(folder);
	const [database, redis] = await allSettledOrThrow([startDatabase(options), startRedis(options)]);
	const services: StackAddresses = {
		urls,
		databaseUrl: database.url,
		workerDatabaseUrl: database.workerUrl,
		neonUrl: database.neonUrl,
		redisUrl: redis.url,
		redisToken: redis.token,
		keyEncryptionKeys: keys,
	};
	undo.add(() => withdrawStack(folder.path));
	await announceStack(folder.path, services);
	return {
		...services,
		vars: { ...variablesFor(services), ...chosen },
		redisEngine: redis.engine,
		admin: database.admin,
		adminIsGood: await isGoodToken(database.url, firstTenant, database.admin.hash),
		missingKeks: await missingKeks(database.url, keys),
		died: database.died,
	};
}

/** A list from another folder or a forgotten variable would show itself only when a key is used. */
async function missingKeks(databaseUrl: string, keys: string): Promise<string[]> {
	const known = new Set(parseKeyEncryptionKeys(keys).map(({ id }) => id));
	const { rows } = await withDatabase(databaseUrl, (client) =>
		client.query<{ kek_id: string }>(
			"select distinct kek_id from key_versions where kek_id is not null order by kek_id",
		),
	);
	return rows.map((row) => row.kek_id).filter((id) => !known.has(id));
}

/** The worker would begin with any, and then answer nothing but 500. */
function logLevel(): string {
	// A line for every request would hide the addresses in the terminal.
	const text = process.env.LOG_LEVEL || "warn";
	if (logLevelOf(text)) return text;
	throw new Problem(`LOG_LEVEL must be one of ${logLevels.join(", ")}, not "${text}"`);
}

/** After how many days records go to the archive: none is the worker's own default. */
function hotDays(): { readonly AUDIT_HOT_DAYS?: string } {
	const text = process.env.AUDIT_HOT_DAYS;
	if (!text) return {};
	const { auditHotDaysMin: least, auditHotDaysMax: most } = limits;
	return { AUDIT_HOT_DAYS: String(wholeNumber("AUDIT_HOT_DAYS", text, least, most)) };
}

function variablesFor(services: StackAddresses): Record<string, string> {
	return {
		DATABASE_URL: services.workerDatabaseUrl,
		NEON_GATEWAY: services.neonUrl,
		UPSTASH_REDIS_REST_URL: services.redisUrl,
		UPSTASH_REDIS_REST_TOKEN: services.redisToken,
		KEY_ENCRYPTION_KEYS: services.keyEncryptionKeys,
	};
}

async function startDatabase({ folder, guard, undo, durable }: ServicesOptions) {
	const postgres = await startPostgres({
		dataDir: folder.path,
		durable,
		onSpawn: (pid) => guard.watch(pid, "SIGINT"),
	});
	undo.add(postgres.stop);
	const { url, workerUrl, died } = postgres;
	const neon = await startNeonGateway({ databaseUrl: workerUrl });
	undo.add(neon.stop);
	await migrate(url);
	await grantApplicationRights(url, workerRole);
	const admin = await adminToken(folder, firstTenant);
	await ensureAdmin(url, {
		tenant: firstTenant,
		tokenHash: admin.hash,
		tokenName: "admin, made at the first start",
	});
	return { url, workerUrl, died, neonUrl: neon.url, admin };
}

async function startRedis({ folder, guard, undo }: ServicesOptions) {
	const token = randomBytes(24).toString("base64url");
	const redis = await startRedisGateway({
		dataDir: join(folder.path, "redis"),
		token,
		onSpawn: (pid) => guard.watch(pid, "SIGTERM"),
	});
	undo.add(redis.stop);
	return { url: redis.url, token, engine: redis.engine };
}
