import { DurableObject } from "cloudflare:workers";
import type { Env } from "../src/env.ts";
import {
	type BeginCall,
	type Begun,
	decide,
	type Entry,
	type FinishCall,
	type Finished,
	type Ticket,
} from "../src/idempotency/entry.ts";
import { systemClock } from "../src/lib/clock.ts";
import * as limits from "../src/limits.ts";
import { statementsOf } from "./statements.ts";

/** Times are milliseconds since the epoch; `started_at` is null once the newest attempt has ended. */
const schema = `
	create table if not exists entries (
		name text primary key,
		fingerprint text not null,
		seed blob not null,
		attempt integer not null,
		created_at integer not null,
		started_at integer,
		answer blob
	);
	create index if not exists entries_by_age on entries (created_at)`;

/** An attempt that began in the last moment of a key's time is over by then too. */
const deletedAfterMs = limits.idempotencyKeptMs + limits.idempotencyRunningMs;

/** null and number come as they are, blobs as ArrayBuffer. */
type Row = {
	fingerprint: string;
	seed: ArrayBuffer;
	attempt: number;
	created_at: number;
	started_at: number | null;
	answer: ArrayBuffer | null;
};

/**
 * Answers kept by Idempotency-Key: objects by tenant and part of the keys. Each call runs to its end
 * without waiting, so no two of them mix, and its answer leaves only when the storage is durable.
 */
export class Idempotency extends DurableObject<Env> {
	readonly #exec = statementsOf(this.ctx);
	#hasAlarm = false;

	constructor(context: DurableObjectState, env: Env) {
		super(context, env);
		context.blockConcurrencyWhile(async () => {
			this.#exec(schema);
			this.#hasAlarm = (await context.storage.getAlarm()) !== null;
		});
	}

	begin(call: BeginCall): Begun {
		const now = systemClock();
		const begun = decide(this.#find(call.name), call, now);
		if (begun.state !== "run") return begun;
		const { name, attempt } = begun.ticket;
		// What runs already may still bring its answer, for which the object has room beyond this.
		if (attempt === 1 && this.ctx.storage.sql.databaseSize > limits.idempotencyBytes)
			return { state: "full" };
		if (attempt === 1) this.#insert(call, now);
		else {
			this.#exec(
				"update entries set attempt = ?, started_at = ? where name = ?",
				...[attempt, now, name],
			);
		}
		return begun;
	}

	/** The first to finish decides. A refusal counts only while no other attempt has begun. */
	finish({ ticket, answer, isRefusal }: FinishCall): Finished {
		const { name, createdAt, attempt } = ticket;
		const entry = this.#find(name);
		if (entry?.createdAt !== createdAt) return null;
		if (entry.answer) return { answer: entry.answer, isOwn: false };
		if (isRefusal && entry.attempt !== attempt) return null;
		this.#exec("update entries set answer = ? where name = ?", answer, name);
		return { answer, isOwn: true };
	}

	release({ name, createdAt, attempt }: Ticket): void {
		this.#exec(
			"update entries set started_at = null where name = ? and created_at = ? and attempt = ?",
			...[name, createdAt, attempt],
		);
	}

	answerOf(name: string): Uint8Array<ArrayBuffer> | null {
		return this.#find(name)?.answer ?? null;
	}

	/** Deletes a slice of what is over, and comes back for the rest when its time is there. */
	override alarm(): void {
		const now = systemClock();
		this.#exec(
			`delete from entries where name in
				(select name from entries where created_at <= ? order by created_at limit ?)`,
			...[now - deletedAfterMs, limits.idempotencyDeletedPerAlarm],
		);
		const rows = this.#exec<{ oldest: number | null }>(
			"select min(created_at) as oldest from entries",
		);
		const { oldest } = rows.one();
		this.#hasAlarm = oldest !== null;
		if (oldest === null) return;
		this.ctx.storage.setAlarm(Math.max(now, oldest + deletedAfterMs));
	}

	#insert({ name, fingerprint, seed }: BeginCall, now: number): void {
		this.#exec(
			`insert or replace into entries (name, fingerprint, seed, attempt, created_at, started_at)
			values (?, ?, ?, 1, ?, ?)`,
			...[name, fingerprint, seed, now, now],
		);
		if (this.#hasAlarm) return;
		this.ctx.storage.setAlarm(now + deletedAfterMs);
		this.#hasAlarm = true;
	}

	#find(name: string): Entry | null {
		const [row] = this.#exec<Row>("select * from entries where name = ?", name);
		if (!row) return null;
		return {
			fingerprint: row.fingerprint,
			seed: new Uint8Array(row.seed),
			attempt: row.attempt,
			createdAt: row.created_at,
			startedAt: row.started_at,
			answer: row.answer && new Uint8Array(row.answer),
		};
	}
}
