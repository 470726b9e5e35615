import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { sleep } from "../lib/sleep.ts";
import { answered, type Background, type Within, within } from "../lib/within.ts";
import * as limits from "../limits.ts";
import { joinAppends } from "./block.ts";
import type { ChainHead, ChainMark, ChainName } from "./chain.ts";
import { regionOf, type Whereabouts } from "./region.ts";
import type { RecordQuery, RecordSlice } from "./source.ts";

/** The records of a request, and which object takes them. */
export interface AppendCall {
	/** From placeOf. */
	readonly place: string;
	/** From encodeAppend. */
	readonly records: Bytes;
}

/** `full`: the object has as many records as it may that Postgres has not taken yet. */
export type Appended = "kept" | "full";

/** What an object of the log offers by RPC (durable-objects/audit-log.ts). */
export interface AuditLogRpc {
	/**
	 * Takes all the appends (from joinAppends) or none, and answers when they are durable. With
	 * `isRepeated` it is one append that may come again, and is kept once.
	 */
	append(appends: Bytes, isRepeated: boolean): Promise<Appended>;
	/** Of the records that have not moved yet. */
	read(query: RecordQuery): Promise<RecordSlice>;
	/** Its chain, and where it ends. */
	head(): Promise<ChainName & ChainHead>;
	/** A place that it remembers, at or behind that number; null for none. */
	mark(sequence: number): Promise<ChainMark | null>;
}

/** The object did not say that it has the records, so what they are about must not be told. */
export class AuditUnavailable extends Error {
	override readonly name = "AuditUnavailable";
}

/** The object for callers here: a part of the tenant's records, near those who write them. */
export function placeOf(tenant: string, at: Whereabouts, shard: number): string {
	return placeNamed(tenant, regionOf(at), shard);
}

export function placeNamed(tenant: string, region: string, shard: number): string {
	return `${tenant}/${region}/${shard}`;
}

/** The parts of an object's name. A tenant's name has no slash. */
export function readPlace(place: string) {
	const [tenant = "", region = "", shard = ""] = place.split("/");
	return { tenant, region, shard: Number(shard) };
}

/** The objects as an isolate calls them: each call has an end, and one way to fail. */
export interface AuditLogs {
	/** One append by itself, which may come again. */
	appendOnce(call: AppendCall): Promise<Appended>;
	/** Together with those of other requests. `background` keeps the first of them at work for the others. */
	append(call: AppendCall, background: Background, waiting?: Within): Promise<Appended>;
}

/** Appends of requests that came at the same time to one object. */
interface Group {
	readonly openedAt: number;
	readonly appends: Bytes[];
	bytes: number;
	/** What all of them are told; null until it is known. */
	heard: Appended | "failed" | null;
	/** Settles then. */
	sent: Promise<void>;
}

/** @param requests of the isolate that are under way, the one that appends included */
export function createAuditLogs(
	namespace: DurableObjectNamespace,
	requests: { readonly inFlight: number },
	clock: Clock,
): AuditLogs {
	/** Those that still take members, by place: for `auditGroupMs`, or for ever where their sender was cut off. */
	const open = new Map<string, Group>();
	/** The newest group of a place that is not heard of yet. */
	const newest = new Map<string, Group>();

	/** Rejects, and never throws: who waits for a group waits for this. */
	async function send(place: string, appends: readonly Bytes[], isRepeated: boolean) {
		const locationHint = readPlace(place).region as DurableObjectLocationHint;
		// The binding does not know its class.
		const object = namespace.getByName(place, { locationHint }) as unknown as AuditLogRpc;
		return object.append(joinAppends(appends), isRepeated);
	}

	/** While the object writes, the next group gathers: it would have to wait there. */
	async function sendGroup(place: string, group: Group, before: Group | undefined): Promise<void> {
		if (before) await Promise.race([before.sent, sleep(limits.auditGroupMs)]);
		// Those that come at the same time go along. Alone there is nobody to wait for: a timer takes a millisecond.
		else if (requests.inFlight > 1) await sleep(0);
		if (open.get(place) === group) open.delete(place);
		group.heard = await send(place, group.appends, false).catch(() => "failed" as const);
		if (newest.get(place) === group) newest.delete(place);
	}

	/** The group that takes so many bytes more, if there is one. */
	function joinable(place: string, bytes: number, now: number): Group | null {
		const group = open.get(place);
		if (!group || group.bytes + bytes > limits.auditBlockBytes) return null;
		return now - group.openedAt <= limits.auditGroupStaleMs ? group : null;
	}

	return {
		appendOnce: ({ place, records }) =>
			answered(send(place, [records], true), limits.auditTimeoutMs, AuditUnavailable),
		async append({ place, records }, background, waiting = within) {
			const openedAt = clock();
			const joined = joinable(place, records.length, openedAt);
			const sent = Promise.resolve();
			const group: Group = joined ?? { openedAt, appends: [], bytes: 0, heard: null, sent };
			group.appends.push(records);
			group.bytes += records.length;
			if (!joined) {
				open.set(place, group);
				const before = newest.get(place);
				newest.set(place, group);
				group.sent = sendGroup(place, group, before);
				background(group.sent); // for the others, should this caller hang up
			}
			// Beside a timer of its own, which ends with the request: what was a part of this request may be
			// out of reach where it goes on after another one's promise.
			await waiting(group.sent, limits.auditTimeoutMs, () => {});
			if (group.heard === "kept" || group.heard === "full") return group.heard;
			throw new AuditUnavailable(group.heard ?? "not heard of in time");
		},
	};
}
