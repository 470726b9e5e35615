import { type Bytes, toHex, utf8, withLengths } from "../lib/bytes.ts";
import { sha256 } from "../lib/sha256.ts";
import * as limits from "../limits.ts";

/** A request with an Idempotency-Key, as far as it says who asks for what. */
export interface KeyedRequest {
	readonly tenant: string;
	readonly tokenId: string;
	/** The value of the header. */
	readonly key: string;
	readonly method: string;
	/** Path and query. */
	readonly target: string;
	/** The value of If-Match, which decides on what is changed; null where there is none. */
	readonly ifMatch: string | null;
	/** The parsed JSON of the body; undefined where there is none. */
	readonly json: unknown;
}

/** Where the entry of a key is kept. */
export interface EntryPlace {
	readonly tenant: string;
	/** Of the Durable Object. */
	readonly object: string;
	/** Of the entry in it: SHA-256 in hexadecimal of tenant, token and key, so the key itself is kept nowhere. */
	readonly name: string;
}

export function placeOf({ tenant, tokenId, key }: KeyedRequest): EntryPlace {
	const name = toHex(sha256(withLengths(["edgesign-entry-name-v1", tenant, tokenId, key])));
	const shard = Number.parseInt(name.slice(0, 8), 16) % limits.idempotencyShards;
	return { tenant, object: `${tenant}/${shard}`, name };
}

/**
 * What must be the same when a key comes again. The key is in it too, which is kept nowhere: whoever
 * reads the storage can not try guesses of what was signed.
 */
export async function fingerprintOf(request: KeyedRequest): Promise<string> {
	const { key, method, target, ifMatch, json } = request;
	const parts = [key, method, target, ...(ifMatch === null ? [] : [ifMatch])];
	const head = toHex(sha256(withLengths(["edgesign-request-v1", ...parts])));
	const body = json === undefined ? "" : JSON.stringify(json);
	return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", utf8(`${head}\n${body}`))));
}

/** An entry as its object keeps it. Times are milliseconds since the epoch. */
export interface Entry {
	readonly fingerprint: string;
	/** Sealed. */
	readonly seed: Bytes;
	/** The number of the newest attempt. */
	readonly attempt: number;
	readonly createdAt: number;
	/** When the newest attempt began; null when it ended without an answer that is kept. */
	readonly startedAt: number | null;
	/** Sealed; null until an attempt has finished. */
	readonly answer: Bytes | null;
}

/** One attempt at one use of a key. After limits.idempotencyKeptMs the same name may be used anew. */
export interface Ticket {
	readonly name: string;
	readonly createdAt: number;
	readonly attempt: number;
}

/** What an object says to a request that comes with a key. */
export type Begun =
	| { readonly state: "run"; readonly ticket: Ticket; readonly seed: Bytes }
	| { readonly state: "done"; readonly answer: Bytes }
	| { readonly state: "running" }
	| { readonly state: "mismatch" }
	/** There is no room for another entry. */
	| { readonly state: "full" };

/**
 * Whether the request may run, and as which attempt. An attempt that does not end is given up after
 * limits.idempotencyRunningMs: the next one has its seed, and finds what it did.
 */
export function decide(
	entry: Entry | null,
	{ name, fingerprint, seed }: BeginCall,
	now: number,
): Begun {
	if (!entry || isOver(entry, now)) {
		return { state: "run", ticket: { name, createdAt: now, attempt: 1 }, seed };
	}
	if (entry.fingerprint !== fingerprint) return { state: "mismatch" };
	if (entry.answer) return { state: "done", answer: entry.answer };
	if (isRunning(entry, now)) return { state: "running" };
	const ticket = { name, createdAt: entry.createdAt, attempt: entry.attempt + 1 };
	return { state: "run", ticket, seed: entry.seed };
}

/** A key can be used anew, though no alarm has met its entry yet. */
function isOver(entry: Entry, now: number): boolean {
	return entry.createdAt + limits.idempotencyKeptMs <= now && !isRunning(entry, now);
}

function isRunning({ answer, startedAt }: Entry, now: number): boolean {
	return answer === null && startedAt !== null && now < startedAt + limits.idempotencyRunningMs;
}

export interface BeginCall {
	readonly name: string;
	readonly fingerprint: string;
	/** Sealed; kept when the entry is new. */
	readonly seed: Bytes;
}

export interface FinishCall {
	readonly ticket: Ticket;
	/** Sealed. */
	readonly answer: Bytes;
	/** It says that nothing was done. A later attempt may be about to do it. */
	readonly isRefusal: boolean;
}

/** The answer that all attempts give; null when another attempt is still to find it. */
export type Finished = { readonly answer: Bytes; readonly isOwn: boolean } | null;

/** The Durable Object, as the service calls it. */
export interface EntryObject {
	begin(call: BeginCall): Promise<Begun>;
	finish(call: FinishCall): Promise<Finished>;
	/** The attempt ended without an answer to keep: the next one may begin. */
	release(ticket: Ticket): Promise<void>;
	/** What another attempt has answered. */
	answerOf(name: string): Promise<Bytes | null>;
}

/** By the object's name. */
export type EntryObjects = (object: string) => EntryObject;
