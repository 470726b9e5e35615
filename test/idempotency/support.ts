import { listDurableObjectIds, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { Idempotency } from "../../durable-objects/idempotency.ts";
import { routes } from "../../src/app.ts";
import type { Database } from "../../src/db/client.ts";
import type { EntryObject } from "../../src/idempotency/entry.ts";
import { toHex } from "../../src/lib/bytes.ts";
import { systemRandom } from "../../src/lib/random.ts";
import * as limits from "../../src/limits.ts";
import { serve } from "../../src/routes/serve.ts";
import { createServices, type Services } from "../../src/services.ts";
import { inBackground } from "../support/background.ts";
import { pathOf } from "../support/fixtures.ts";
import { ownerSql } from "../support/tenant.ts";

/** The namespace with its class, which the service's own binding does not name. */
export const namespace = env.IDEMPOTENCY as unknown as DurableObjectNamespace<Idempotency>;

/** A key that nobody had before. */
export function newIdempotencyKey(): string {
	return toHex(systemRandom(16));
}

/** Runs `work` on the storage of every object there is. */
async function inEveryObject<T>(
	work: (storage: DurableObjectStorage) => T | Promise<T>,
): Promise<T[]> {
	const ids = await listDurableObjectIds(namespace);
	return Promise.all(
		ids.map((id) => runInDurableObject(namespace.get(id), (_, state) => work(state.storage))),
	);
}

/** Every attempt that runs has done so for longer than any may: the next request takes its place. */
export async function letAttemptsStall(): Promise<void> {
	await inEveryObject(({ sql }) => {
		sql.exec("update entries set started_at = started_at - ?", limits.idempotencyRunningMs);
	});
}

export type StoredEntry = Record<string, ArrayBuffer | string | number | null>;

/** Every entry of every object. */
export async function storedEntries(): Promise<StoredEntry[]> {
	return (
		await inEveryObject(({ sql }) => [...sql.exec<StoredEntry>("select * from entries")])
	).flat();
}

export interface Asked {
	readonly id: string;
	/** That of the route where it is left out. */
	readonly method?: string;
	readonly params?: Readonly<Record<string, string>>;
	readonly query?: Readonly<Record<string, string>>;
	readonly json?: unknown;
	readonly key?: string;
	readonly token: string;
}

/** A request to one route with services of the test's own. */
export async function ask(services: Services, asked: Asked): Promise<Response> {
	const route = routes.find(({ id }) => id === asked.id);
	if (!route) throw new Error(`there is no route ${asked.id}`);
	const path = pathOf(route.path, asked.params, asked.query);
	const raw = new Request(`https://edgesign.test${path}`, {
		method: asked.method ?? route.method.toUpperCase(),
		headers: {
			Authorization: `Bearer ${asked.token}`,
			"Content-Type": "application/json",
			...(asked.key !== undefined && { "Idempotency-Key": asked.key }),
		},
		...(asked.json !== undefined && { body: JSON.stringify(asked.json) }),
	});
	return serve(route, services, raw, { ...asked.params }, inBackground);
}

/** Services whose calls to the object that keeps answers are the test's, where it has any. */
export function withEntries(changed: Partial<EntryObject>): Services {
	const services = createServices(env);
	const entries = (name: string): EntryObject => {
		const object = services.entries(name);
		return {
			begin: (call) => object.begin(call),
			finish: (call) => object.finish(call),
			release: (ticket) => object.release(ticket),
			answerOf: (entry) => object.answerOf(entry),
			...changed,
		};
	};
	return { ...services, entries };
}

/** The isolate is gone when the answer is there. */
export function crashingBeforeFinish(): Services {
	return withEntries({
		finish: () => Promise.reject(new Error("gone")),
		release: () => Promise.reject(new Error("gone")),
	});
}

/** Services with something before or after a statement of this name, by itself or in a transaction. */
export function withStatement(
	name: string,
	around: <T>(run: () => Promise<T>) => Promise<T>,
	services = createServices(env),
): Services {
	const { db } = services;
	const query: Database["query"] = (statement, params) =>
		statement.name === name
			? around(() => db.query(statement, params))
			: db.query(statement, params);
	const transaction: Database["transaction"] = (calls) =>
		calls.some(({ statement }) => statement.name === name)
			? around(() => db.transaction(calls))
			: db.transaction(calls);
	return { ...services, db: { query, transaction } };
}

/** All rows of a tenant, as one value to compare: what a repetition must not change. */
export async function rowsOf(tenant: string): Promise<unknown> {
	const sql = ownerSql();
	return Promise.all(
		["keys", "key_versions", "tokens", "config_versions"].map((table) =>
			sql.query(`select * from ${table} where tenant_id = $1 order by 1, 2, 3`, [tenant]),
		),
	);
}
