import { fromBase64 } from "./lib/bytes.ts";

/** What the platform hands to the worker: strings and bindings, nothing checked yet. */
export interface Env {
	/** Neon connection string of the worker's own role, which may read and write rows and nothing else. */
	DATABASE_URL: string;
	/** Origin of a gateway that stands for Neon's proxy, where there is no Neon: the local stack. */
	NEON_GATEWAY?: string;
	UPSTASH_REDIS_REST_URL: string;
	UPSTASH_REDIS_REST_TOKEN: string;
	/** `id:base64,id:base64`, each 32 bytes, newest first. New keys are sealed under the first. */
	KEY_ENCRYPTION_KEYS: string;
	LOG_LEVEL?: string;
	/** Static files: the documentation page. */
	ASSETS: Fetcher;
}

export interface KeyEncryptionKey {
	readonly id: string;
	readonly bytes: Uint8Array<ArrayBuffer>;
}

export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** The checked form, and the only one that the rest of the service sees. */
export interface Config {
	readonly databaseUrl: string;
	readonly neonGateway: string | null;
	readonly redis: { readonly url: string; readonly token: string };
	/** At least one, newest first. */
	readonly keyEncryptionKeys: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]];
	readonly logLevel: LogLevel;
}

/** Thrown once at start-up, before anything is served. Names the variable and the rule, never the value. */
export class ConfigError extends Error {
	override readonly name = "ConfigError";
}

/** Reads and checks the environment. Called once per isolate. */
export function readConfig(env: Env): Config {
	return {
		databaseUrl: urlOf(env, "DATABASE_URL", ["postgres:", "postgresql:"]),
		neonGateway: env.NEON_GATEWAY ? urlOf(env, "NEON_GATEWAY", ["http:", "https:"]) : null,
		redis: {
			url: urlOf(env, "UPSTASH_REDIS_REST_URL", ["http:", "https:"]),
			token: required(env, "UPSTASH_REDIS_REST_TOKEN"),
		},
		keyEncryptionKeys: parseKeyEncryptionKeys(required(env, "KEY_ENCRYPTION_KEYS")),
		logLevel: parseLogLevel(env.LOG_LEVEL),
	};
}

type TextVariable = Exclude<keyof Env, "ASSETS">;

function required(env: Env, name: TextVariable): string {
	const value = env[name];
	if (typeof value !== "string" || value === "") throw new ConfigError(`${name} is not set`);
	return value;
}

function urlOf(env: Env, name: TextVariable, protocols: readonly string[]): string {
	const value = required(env, name);
	const protocol = URL.canParse(value) ? new URL(value).protocol : "";
	if (!protocols.includes(protocol)) {
		throw new ConfigError(`${name} must be a URL that begins with ${protocols.join(" or ")}`);
	}
	return value;
}

function parseLogLevel(value: string | undefined): LogLevel {
	const level = logLevels.find((known) => known === (value ?? "info"));
	if (!level) throw new ConfigError(`LOG_LEVEL must be one of ${logLevels.join(", ")}`);
	return level;
}

const kekIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** `id:base64,id:base64` or the same a line each; ids are unique, keys are 32 bytes. */
export function parseKeyEncryptionKeys(text: string): Config["keyEncryptionKeys"] {
	const keys = text
		.split(/[\s,]+/)
		.filter((part) => part !== "")
		.map((part, index) => {
			const colon = part.indexOf(":");
			const id = part.slice(0, Math.max(0, colon));
			const bytes = fromBase64(part.slice(colon + 1));
			if (!kekIdPattern.test(id) || bytes?.length !== 32) {
				throw new ConfigError(
					`KEY_ENCRYPTION_KEYS: entry ${index + 1} must be an id (letters, digits, ".", "_", "-"), a colon and 32 bytes in base64`,
				);
			}
			return { id, bytes };
		});
	if (new Set(keys.map((key) => key.id)).size < keys.length) {
		throw new ConfigError("KEY_ENCRYPTION_KEYS: an id stands there twice");
	}
	const [newest, ...older] = keys;
	if (!newest) throw new ConfigError("KEY_ENCRYPTION_KEYS is empty");
	return [newest, ...older];
}
