import { limits } from "../limits.ts";
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
	 * Answers when the records are durable. With `isRepeated` the same append may come again, and is
	 * kept once.
	 */
	append(records: Bytes, isRepeated: boolean): Promise<Appended>;
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

export type AuditLogs = ReturnType<typeof createAuditLogs>;

/** The objects as an isolate calls them: each call has an end, and one way to fail. */
export function createAuditLogs(namespace: DurableObjectNamespace) {
	return {
		async append({ place, records }: AppendCall, isRepeated: boolean): Promise<Appended> {
			const locationHint = readPlace(place).region as DurableObjectLocationHint;
			// The binding does not know its class.
			const object = namespace.getByName(place, { locationHint }) as unknown as AuditLogRpc;
			return inTime(object.append(records, isRepeated));
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
