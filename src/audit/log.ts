import { limits } from "../limits.ts";
import { joinAppends } from "./block.ts";
import { regionOf, type Whereabouts } from "./region.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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
}

/** The object did not say that it has the records, so what they are about must not be told. */
export class AuditUnavailable extends Error {
	override readonly name = "AuditUnavailable";
}

/** The object for callers here: a part of the tenant's records, near those who write them. */
export function placeOf(tenant: string, at: Whereabouts, shard: number): string {
	return `${tenant}/${regionOf(at)}/${shard}`;
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
	append(call: AppendCall, background: Background): Promise<Appended>;
}

type Background = (work: Promise<unknown>) => void;

/** What is told to the requests of a group; a plain value, because they may not share more than that. */
type Heard = Appended | "failed";

/** Appends of requests that came at the same time to one object. */
interface Group {
	readonly appends: Bytes[];
	readonly tell: ((heard: Heard) => void)[];
	bytes: number;
}

export function createAuditLogs(namespace: DurableObjectNamespace): AuditLogs {
	/** Those that still take members, by place; none is open for longer than a turn of the isolate. */
	const open = new Map<string, Group>();

	function send(place: string, appends: readonly Bytes[], isRepeated: boolean) {
		const locationHint = readPlace(place).region as DurableObjectLocationHint;
		// The binding does not know its class.
		const object = namespace.getByName(place, { locationHint }) as unknown as AuditLogRpc;
		return object.append(joinAppends(appends), isRepeated);
	}

	async function sendGroup(place: string, group: Group): Promise<void> {
		await new Promise<void>((resolve) => {
			setTimeout(resolve, 0);
		});
		if (open.get(place) === group) open.delete(place);
		const heard = await send(place, group.appends, false).catch(() => "failed" as const);
		for (const tell of group.tell) tell(heard);
	}

	return {
		appendOnce: ({ place, records }) => inTime(send(place, [records], true)),
		async append({ place, records }, background) {
			const { promise, resolve } = Promise.withResolvers<Heard>();
			let group = open.get(place);
			const isFirst = !group || group.bytes + records.length > limits.auditBlockBytes;
			if (!group || isFirst) {
				group = { appends: [], tell: [], bytes: 0 };
				open.set(place, group);
			}
			group.appends.push(records);
			group.tell.push(resolve);
			group.bytes += records.length;
			if (isFirst) background(sendGroup(place, group));
			const heard = await inTime(promise);
			if (heard === "failed") throw new AuditUnavailable("the call failed");
			return heard;
		},
	};
}

async function inTime<T>(call: Promise<T>): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | null = null;
	const late = new Promise<never>((_, reject) => {
		const error = new AuditUnavailable(`no answer in ${limits.auditTimeoutMs} ms`);
		timer = setTimeout(() => reject(error), limits.auditTimeoutMs);
	});
	try {
		return await Promise.race([call, late]);
	} catch (error) {
		if (error instanceof AuditUnavailable) throw error;
		throw new AuditUnavailable(error instanceof Error ? error.name : "unknown");
	} finally {
		clearTimeout(timer);
	}
}
