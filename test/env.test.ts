import { env } from "cloudflare:workers";
import { describe, expect, it } from "vitest";
import { type Env, readArchiveConfig, readEnvironment } from "../src/env.ts";
import { toBase64, toBase64Url } from "../src/lib/bytes.ts";
import { ConfigError, parseKeyEncryptionKeys } from "../src/lib/keks.ts";

const key = (value: number) => toBase64(new Uint8Array(32).fill(value));

const whole: Env = {
	DATABASE_URL: "postgres://worker:hunter2@db.example/edgesign",
	UPSTASH_REDIS_REST_URL: "https://redis.example",
	UPSTASH_REDIS_REST_TOKEN: "redis-token",
	KEY_ENCRYPTION_KEYS: `new:${key(1)},old:${key(2)}`,
	ASSETS: env.ASSETS,
	COORDINATOR: env.COORDINATOR,
	IDEMPOTENCY: env.IDEMPOTENCY,
	AUDIT_LOG: env.AUDIT_LOG,
	BENCHMARK: env.BENCHMARK,
	COLD_LOG: env.COLD_LOG,
	ADDRESSES: env.ADDRESSES,
};

/** The message, which must be all of the error that an operator reads. */
function refusalOf(read: () => unknown): string {
	try {
		read();
	} catch (error) {
		expect(error).toBeInstanceOf(ConfigError);
		return (error as ConfigError).message;
	}
	throw new Error("it was taken");
}

describe("readEnvironment", () => {
	it("reads what is there, and has defaults for the rest", () => {
		expect(readEnvironment(whole)).toEqual({
			databaseUrl: whole.DATABASE_URL,
			replicaUrl: null,
			neonGateway: null,
			redis: { url: "https://redis.example", token: "redis-token" },
			keyEncryptionKeys: [
				{ id: "new", bytes: new Uint8Array(32).fill(1) },
				{ id: "old", bytes: new Uint8Array(32).fill(2) },
			],
			logLevel: "info",
			makesSpareKeys: true,
		});
	});

	it("takes the address of a gateway, and a level of the log", () => {
		const config = readEnvironment({
			...whole,
			NEON_GATEWAY: "http://127.0.0.1:5",
			LOG_LEVEL: "error",
		});
		expect([config.neonGateway, config.logLevel]).toEqual(["http://127.0.0.1:5", "error"]);
		expect(readEnvironment({ ...whole, DATABASE_URL: "postgresql://u:p@h/d" }).databaseUrl).toBe(
			"postgresql://u:p@h/d",
		);
	});

	it("takes the address of a read replica, and refuses what is none", () => {
		const at = (DATABASE_REPLICA_URL: string) =>
			readEnvironment({ ...whole, DATABASE_REPLICA_URL });
		expect(at("postgres://u:p@replica/d").replicaUrl).toBe("postgres://u:p@replica/d");
		expect(refusalOf(() => at("replica.example"))).toBe(
			"DATABASE_REPLICA_URL must be a URL that begins with postgres: or postgresql:",
		);
	});

	it("is what the tests run with", () => {
		expect(readEnvironment(env).neonGateway).toBe(env.NEON_GATEWAY);
	});

	const required = [
		"DATABASE_URL",
		"UPSTASH_REDIS_REST_URL",
		"UPSTASH_REDIS_REST_TOKEN",
		"KEY_ENCRYPTION_KEYS",
	] as const;
	it.each(required)("names %s when it is not set or empty", (name) => {
		const { [name]: _, ...rest } = whole;
		for (const given of [rest, { ...rest, [name]: "" }]) {
			expect(refusalOf(() => readEnvironment(given as Env))).toBe(`${name} is not set`);
		}
	});

	it.each([
		["DATABASE_URL", "mysql://u:hunter2@h/d", "postgres:"],
		["DATABASE_URL", "hunter2 is no URL", "postgres:"],
		["UPSTASH_REDIS_REST_URL", "redis://h:hunter2@h", "http:"],
		["NEON_GATEWAY", "ftp://hunter2", "http:"],
		["LOG_LEVEL", "hunter2", "debug"],
	])("refuses %s as %s by its rule, without the value", (name, value, rule) => {
		const message = refusalOf(() => readEnvironment({ ...whole, [name]: value }));
		expect(message).toContain(name);
		expect(message).toContain(rule);
		expect(message).not.toContain("hunter2");
	});
});

describe("readArchiveConfig", () => {
	const { DATABASE_URL, KEY_ENCRYPTION_KEYS } = whole;
	const own = { DATABASE_URL, KEY_ENCRYPTION_KEYS, ARCHIVE: env.ARCHIVE };

	it("needs a database and keys, and has defaults for the rest", () => {
		expect(readArchiveConfig(own)).toMatchObject({ auditHotDays: 30, logLevel: "info" });
		expect(readArchiveConfig({ ...own, AUDIT_HOT_DAYS: "1" }).auditHotDays).toBe(1);
		expect(refusalOf(() => readArchiveConfig({ ...own, DATABASE_URL: "" }))).toBe(
			"DATABASE_URL is not set",
		);
	});

	it.each(["0", "3651", "1.5", "many"])("refuses %s days", (AUDIT_HOT_DAYS) => {
		expect(refusalOf(() => readArchiveConfig({ ...own, AUDIT_HOT_DAYS }))).toBe(
			"AUDIT_HOT_DAYS must be a whole number from 1 to 3650",
		);
	});
});

describe("KEY_ENCRYPTION_KEYS", () => {
	it.each([
		["one", `a:${key(1)}`, ["a"]],
		["several", `c:${key(3)},b:${key(2)},a:${key(1)}`, ["c", "b", "a"]],
		["a line each", `b:${key(2)}\n\ta:${key(1)}\n`, ["b", "a"]],
		["base64url", `a:${toBase64Url(new Uint8Array(32).fill(0xff))}`, ["a"]],
		["an id of dots and dashes", `2026-11.a_b:${key(1)}`, ["2026-11.a_b"]],
		["an id of 64 characters", `${"x".repeat(64)}:${key(1)}`, ["x".repeat(64)]],
	])("may be %s, newest first", (_, text, ids) => {
		const keys = parseKeyEncryptionKeys(text);
		expect(keys.map(({ id }) => id)).toEqual(ids);
		for (const { bytes } of keys) expect(bytes).toHaveLength(32);
	});

	it.each([
		["nothing but commas", " , ,", /is empty/],
		["no id", key(1), /entry 1/],
		["an empty id", `:${key(1)}`, /entry 1/],
		["an id with a space before its colon", `a b:${key(1)}`, /entry 1/],
		["an id that begins with a dash", `-a:${key(1)}`, /entry 1/],
		["an id of 65 characters", `${"x".repeat(65)}:${key(1)}`, /entry 1/],
		["31 bytes", `a:${toBase64(new Uint8Array(31))}`, /entry 1 .*32 bytes/],
		["33 bytes", `a:${toBase64(new Uint8Array(33))}`, /entry 1 .*32 bytes/],
		["hexadecimal", `a:${"0a".repeat(32)}`, /entry 1/],
		["no key", "a:", /entry 1/],
		["a second one that is wrong", `a:${key(1)},b:c2VjcmV0`, /entry 2/],
		["an id twice", `a:${key(1)},a:${key(2)}`, /stands there twice/],
	])("may not be %s", (_, text, says) => {
		const message = refusalOf(() => parseKeyEncryptionKeys(text));
		expect(message).toContain("KEY_ENCRYPTION_KEYS");
		expect(message).toMatch(says);
		expect(message).not.toContain("c2VjcmV0");
		expect(message).not.toContain(key(1).slice(0, 10));
	});
});
