import { ConfigError, type KeyEncryptionKey, parseKeyEncryptionKeys } from "./lib/keks.ts";
import { type LogLevel, logLevelOf, logLevels } from "./lib/log-levels.ts";
import * as limits from "./limits.ts";

/** What the platform hands to the worker: strings and bindings, nothing checked yet. */
export interface Env {
	/** Neon connection string of the worker's own role, which may read and write rows and nothing else. */
	DATABASE_URL: string;
	/** Of a read replica of it, where there is one: for what may be a little behind. */
	DATABASE_REPLICA_URL?: string;
	/** Origin of a gateway that stands for Neon's proxy, where there is no Neon: the local stack. */
	NEON_GATEWAY?: string;
	UPSTASH_REDIS_REST_URL: string;
	UPSTASH_REDIS_REST_TOKEN: string;
	/** `id:base64,id:base64`, each 32 bytes, newest first. New keys are sealed under the first. */
	KEY_ENCRYPTION_KEYS: string;
	LOG_LEVEL?: string;
	/** Static files: the documentation page. */
	ASSETS: Fetcher;
	/** One object per tenant: buckets, epoch, configuration version. */
	COORDINATOR: DurableObjectNamespace;
	/** Answers kept by Idempotency-Key: objects by tenant and part of the keys. */
	IDEMPOTENCY: DurableObjectNamespace;
	/** The audit log: objects by tenant, region and shard. */
	AUDIT_LOG: DurableObjectNamespace;
	/** One object, which measures the service. */
	BENCHMARK: DurableObjectNamespace;
	/** The worker that has the days of the audit log that are no longer in Postgres (src/archive.ts). */
	COLD_LOG: Service;
	/** `elsewhere` where another process fills the stock of RSA keys: the local stack. */
	SPARE_RSA_KEYS?: string;
	/** The platform's own limiter, for callers who are not signed in. */
	ADDRESSES: RateLimit;
}

/** The same for the archive's worker. */
export interface ArchiveEnv
	extends Pick<Env, "DATABASE_URL" | "NEON_GATEWAY" | "KEY_ENCRYPTION_KEYS" | "LOG_LEVEL"> {
	/** Files of the audit log's days that are no longer in Postgres. */
	ARCHIVE: R2Bucket;
	/** Days that records of the audit log stay in Postgres before they are archived. */
	AUDIT_HOT_DAYS?: string;
	/** Whose requests are served on this worker's thread: the local stack's locations. */
	[neighbour: `NEIGHBOUR_${number}`]: Service;
}

/** What every worker has of it. */
interface CommonConfig {
	readonly databaseUrl: string;
	readonly neonGateway: string | null;
	/** At least one, newest first. */
	readonly keyEncryptionKeys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]];
	readonly logLevel: LogLevel;
}

/** The checked form, and the only one that the rest of the service sees. */
export interface Config extends CommonConfig {
	readonly replicaUrl: string | null;
	readonly redis: { readonly url: string; readonly token: string };
	/** Whether the cron job fills the stock of RSA keys. */
	readonly makesSpareKeys: boolean;
}

/** The same of the archive's worker. */
export interface ArchiveConfig extends CommonConfig {
	readonly auditHotDays: number;
}

const postgresProtocols = ["postgres:", "postgresql:"];

/** Reads and checks the environment. */
export function readEnvironment(env: Env): Config {
	return {
		...readCommon(env),
		replicaUrl: env.DATABASE_REPLICA_URL
			? urlOf(env, "DATABASE_REPLICA_URL", postgresProtocols)
			: null,
		redis: {
			url: urlOf(env, "UPSTASH_REDIS_REST_URL", ["http:", "https:"]),
			token: required(env, "UPSTASH_REDIS_REST_TOKEN"),
		},
		makesSpareKeys: env.SPARE_RSA_KEYS !== "elsewhere",
	};
}

/** The same for the archive's worker. */
export function readArchiveConfig(env: ArchiveEnv): ArchiveConfig {
	return { ...readCommon(env), auditHotDays: parseHotDays(env.AUDIT_HOT_DAYS) };
}

function readCommon(env: Env | ArchiveEnv): CommonConfig {
	return {
		databaseUrl: urlOf(env, "DATABASE_URL", postgresProtocols),
		neonGateway: env.NEON_GATEWAY ? urlOf(env, "NEON_GATEWAY", ["http:", "https:"]) : null,
		keyEncryptionKeys: parseKeyEncryptionKeys(required(env, "KEY_ENCRYPTION_KEYS")),
		logLevel: parseLogLevel(env.LOG_LEVEL),
	};
}

type TextVariable =
	| "DATABASE_URL"
	| "DATABASE_REPLICA_URL"
	| "NEON_GATEWAY"
	| "UPSTASH_REDIS_REST_URL"
	| "UPSTASH_REDIS_REST_TOKEN"
	| "KEY_ENCRYPTION_KEYS";

type Texts = { readonly [Name in TextVariable]?: string };

function required(env: Texts, name: TextVariable): string {
	const value = env[name];
	if (typeof value !== "string" || value === "") throw new ConfigError(`${name} is not set`);
	return value;
}

function urlOf(env: Texts, name: TextVariable, protocols: readonly string[]): string {
	const value = required(env, name);
	const protocol = URL.canParse(value) ? new URL(value).protocol : "";
	if (!protocols.includes(protocol)) {
		throw new ConfigError(`${name} must be a URL that begins with ${protocols.join(" or ")}`);
	}
	return value;
}

function parseLogLevel(value: string | undefined): LogLevel {
	const level = logLevelOf(value ?? "info");
	if (!level) throw new ConfigError(`LOG_LEVEL must be one of ${logLevels.join(", ")}`);
	return level;
}

function parseHotDays(value: string | undefined): number {
	const [min, max] = [limits.auditHotDaysMin, limits.auditHotDaysMax];
	const days = value === undefined || value === "" ? limits.auditHotDaysDefault : Number(value);
	if (!Number.isInteger(days) || days < min || days > max) {
		throw new ConfigError(`AUDIT_HOT_DAYS must be a whole number from ${min} to ${max}`);
	}
	return days;
}
