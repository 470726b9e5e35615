import { env, exports } from "cloudflare:workers";
import { neon, neonConfig } from "@neondatabase/serverless";
import { hashToken, mintToken } from "../../src/auth/tokens.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import type { Role } from "../../src/model.ts";

declare global {
	// biome-ignore lint/style/noNamespace: the runtime names its types so, and they can only be merged
	namespace Cloudflare {
		interface Env {
			DATABASE_URL: string;
			OWNER_DATABASE_URL: string;
			NEON_GATEWAY: string;
			UPSTASH_REDIS_REST_URL: string;
			UPSTASH_REDIS_REST_TOKEN: string;
			KEY_ENCRYPTION_KEYS: string;
			ASSETS: Fetcher;
			COORDINATOR: DurableObjectNamespace;
			IDEMPOTENCY: DurableObjectNamespace;
			AUDIT_LOG: DurableObjectNamespace;
			BENCHMARK: DurableObjectNamespace;
			COLD_LOG: Service;
			/** The bucket of the archive's worker, for tests of what that does. */
			ARCHIVE: R2Bucket;
			ADDRESSES: RateLimit;
		}
		interface GlobalProps {
			mainModule: typeof import("../../src/index.ts");
		}
	}
}

/** Postgres as the owner of the schema, for what the service itself may not do. */
export function ownerSql() {
	neonConfig.fetchEndpoint = () => `${env.NEON_GATEWAY}/sql`;
	return neon(env.OWNER_DATABASE_URL);
}

export interface Tenant {
	readonly id: string;
	/** Makes a token in the database and answers it. */
	token(role: Role, options?: TokenOptions): Promise<string>;
	/** A request to the service with the admin's token, unless another one (or none, null) is given. */
	call(method: string, path: string, options?: CallOptions): Promise<Answer>;
}

export interface TokenOptions {
	readonly id?: string;
	readonly keys?: readonly string[];
	readonly expiresAt?: string;
	readonly revokedAt?: string;
}

export interface CallOptions {
	readonly token?: string | null;
	readonly json?: unknown;
	/** A body as it is, with its type. */
	readonly body?: BodyInit;
	readonly headers?: Readonly<Record<string, string>>;
}

export interface Answer {
	readonly status: number;
	readonly headers: Headers;
	readonly bytes: Uint8Array;
	/** The bytes as UTF-8. */
	readonly text: string;
	// biome-ignore lint/suspicious/noExplicitAny: tests look into answers whose shape is what they test
	readonly json: any;
}

/** A tenant of its own with an admin's token, so that no test sees another's keys. */
export async function newTenant(): Promise<Tenant> {
	const id = `t-${uuidv7(systemClock, systemRandom).slice(9).replaceAll("-", "").slice(0, 24)}`;
	const sql = ownerSql();
	await sql.query("insert into tenants (id) values ($1)", [id]);
	const tenant: Tenant = {
		id,
		async token(role, options = {}) {
			const token = mintToken(id, systemRandom);
			await sql.query(
				`insert into tokens (tenant_id, id, name, role, secret_hash, key_patterns, expires_at, revoked_at)
				values ($1, $2, 'test', $3, decode($4, 'hex'), $5, $6, $7)`,
				[
					id,
					options.id ?? uuidv7(systemClock, systemRandom),
					role,
					hashToken(token),
					options.keys ?? null,
					options.expiresAt ?? null,
					options.revokedAt ?? null,
				],
			);
			return token;
		},
		call: (method, path, options = {}) => call(method, path, { token: admin, ...options }),
	};
	const admin = await tenant.token("admin");
	return tenant;
}

/** How often, and how soon, a request is repeated that was refused as too much. */
const repeats = 40;
const repeatMs = 250;

/**
 * A request to the service in this isolate. That may be refused because the machine was busy with the
 * file before, whose overload the isolate remembers: then nothing was done, and it is asked again.
 */
export async function call(
	method: string,
	path: string,
	options: CallOptions = {},
): Promise<Answer> {
	let answer = await callOnce(method, path, options);
	if (options.body instanceof ReadableStream) return answer; // that was read
	for (let i = 0; i < repeats && answer.json?.code === "overloaded"; i++) {
		await scheduler.wait(repeatMs);
		answer = await callOnce(method, path, options);
	}
	return answer;
}

async function callOnce(method: string, path: string, options: CallOptions): Promise<Answer> {
	const headers = new Headers(options.headers);
	if (options.token) headers.set("Authorization", `Bearer ${options.token}`);
	if (options.json !== undefined) headers.set("Content-Type", "application/json");
	const body = options.json === undefined ? options.body : JSON.stringify(options.json);
	const response = await exports.default.fetch(`https://edgesign.test${path}`, {
		method,
		headers,
		...(body !== undefined && { body }),
	});
	const bytes = new Uint8Array(await response.arrayBuffer());
	const text = new TextDecoder().decode(bytes);
	const isJson = /[/+]json\b/.test(response.headers.get("content-type") ?? "");
	return {
		status: response.status,
		headers: response.headers,
		bytes,
		text,
		json: isJson && text !== "" ? JSON.parse(text) : undefined,
	};
}
