import type { Database } from "../db/client.ts";
import { isShut, shutEarlier, withEffect } from "../db/effects.ts";
import { type ErrorCode, errorTable, type Failure, fail } from "../errors.ts";
import type { Random } from "../lib/random.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { answered } from "../lib/within.ts";
import * as limits from "../limits.ts";
import { decodeOutcome, encodeOutcome, type Outcome } from "./answer.ts";
import {
	type EntryObject,
	type EntryObjects,
	fingerprintOf,
	type KeyedRequest,
	placeOf,
	type Ticket,
} from "./entry.ts";
import type { EntrySeal, EntrySeals } from "./seal.ts";
import { effectIdOf, seededRandom } from "./seeded.ts";

export interface OnceServices {
	readonly db: Database;
	readonly random: Random;
	readonly entries: EntryObjects;
	readonly entrySeals: EntrySeals;
}

/** What an attempt works with instead of the service's own. */
export interface AttemptServices {
	/** Marks the effect in the statement that makes it. */
	readonly db: Database;
	/** The same in every attempt. */
	readonly random: Random;
}

/** What is to be done once. */
export interface Work {
	run(own: AttemptServices): Promise<Outcome>;
	/**
	 * The answer when an earlier attempt has had its effect, on `resource`, and nobody knows what it
	 * answered. null for work without an effect, which is simply run again.
	 */
	readonly again: ((own: AttemptServices, resource: string) => Promise<Outcome>) | null;
}

export interface Once {
	readonly outcome: Outcome;
	/** It was kept: another request, or another attempt, has found it. */
	readonly isReplay: boolean;
}

/** The object that keeps the entries did not answer, so the answer must not be known either. */
export class EntriesUnavailable extends Error {
	override readonly name = "EntriesUnavailable";
}

interface Attempt {
	readonly tenant: string;
	readonly object: EntryObject;
	readonly seal: EntrySeal;
	readonly ticket: Ticket;
	readonly seed: Uint8Array<ArrayBuffer>;
}

/**
 * Does the work of a request that carries an Idempotency-Key, unless it was done: then its answer
 * comes again. A failure stands for what the key itself was refused for.
 */
export async function once(
	services: OnceServices,
	request: KeyedRequest,
	work: Work,
): Promise<Result<Once, Failure>> {
	const place = placeOf(request);
	const object = services.entries(place.object);
	const seal = services.entrySeals(place.tenant, place.name);
	const begun = await told(
		object.begin({
			name: place.name,
			fingerprint: await fingerprintOf(request),
			seed: await seal.close("seed", services.random(limits.idempotencySeedBytes)),
		}),
	);
	if (begun.state === "mismatch") {
		return fail("idempotency_key_reused", "The first request with this key was another one.");
	}
	if (begun.state === "running") return stillRunning();
	if (begun.state === "full") return full();
	if (begun.state === "done") return ok(await replay(seal, begun.answer));
	const seed = await seal.open("seed", begun.seed);
	return attempt(
		services,
		{ tenant: place.tenant, object, seal, ticket: begun.ticket, seed },
		work,
	);
}

async function attempt(
	services: OnceServices,
	current: Attempt,
	work: Work,
): Promise<Result<Once, Failure>> {
	const { object, seal, ticket } = current;
	let outcome: Outcome;
	try {
		outcome = await perform(services, current, work);
	} catch (error) {
		if (!isShut(error)) {
			await release(current);
			throw error;
		}
		// It took so long that another attempt has taken its place.
		const answer = await told(object.answerOf(ticket.name));
		return answer ? ok(await replay(seal, answer)) : stillRunning();
	}
	if (!isKept(outcome)) {
		await release(current);
		return ok({ outcome, isReplay: false });
	}
	const bytes = encodeOutcome(outcome);
	if (bytes.length > limits.idempotentAnswerBytes) {
		await release(current);
		throw new Error(`an answer of ${bytes.length} bytes is too long to be kept`);
	}
	const answer = await seal.close("answer", bytes);
	const finished = await told(object.finish({ ticket, answer, isRefusal: !outcome.ok }));
	if (!finished) return stillRunning();
	return ok(finished.isOwn ? { outcome, isReplay: false } : await replay(seal, finished.answer));
}

async function perform(
	{ db }: OnceServices,
	{ tenant, ticket, seed }: Attempt,
	work: Work,
): Promise<Outcome> {
	const mark = { id: effectIdOf(seed), attempt: ticket.attempt };
	const random = seededRandom(seed);
	const { again } = work;
	if (!again) return work.run({ db: withEffect(db, null), random });
	if (ticket.attempt > 1) {
		const resource = await shutEarlier(db, tenant, mark);
		if (resource !== null) return again({ db: withEffect(db, null), random }, resource);
	}
	return work.run({ db: withEffect(db, mark), random });
}

/** Refusals that ask for the same request once more, beside those whose status says so. */
const passing: ReadonlySet<ErrorCode> = new Set(["concurrent_change"]);

/**
 * A fault of ours, a limit, and another change that came in between say nothing about the request: it
 * may be tried again under its key.
 */
function isKept(outcome: Outcome): boolean {
	if (outcome.ok) return outcome.value.status < 500;
	const { code } = outcome.error;
	const { status } = errorTable[code];
	return status < 500 && status !== 429 && !passing.has(code);
}

/** Best effort: an attempt that can not be released is given up after limits.idempotencyRunningMs. */
async function release({ object, ticket }: Attempt): Promise<void> {
	await told(object.release(ticket)).catch(() => {});
}

async function replay(seal: EntrySeal, answer: Uint8Array<ArrayBuffer>): Promise<Once> {
	return { outcome: decodeOutcome(await seal.open("answer", answer)), isReplay: true };
}

function stillRunning() {
	return err<Failure>({
		code: "idempotency_running",
		detail: "The first request with this key has not ended yet. Ask again for its answer.",
		retryAfterMs: limits.retryAfterSeconds * 1000,
	});
}

function full() {
	return err<Failure>({
		code: "idempotency_full",
		detail:
			"So many answers are kept that there is no room for another one. Nothing was done; without the key it would be.",
		retryAfterMs: limits.idempotencyFullRetryMs,
	});
}

/** What the object answers, within its time. */
function told<T>(asked: Promise<T>): Promise<T> {
	return answered(asked, limits.idempotencyTimeoutMs, EntriesUnavailable);
}
