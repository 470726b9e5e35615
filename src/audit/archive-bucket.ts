import { within } from "../lib/within.ts";
import * as limits from "../limits.ts";
import { AuditUnreadable } from "./source.ts";

/** What the archive needs of R2. */
export type Archive = Pick<R2Bucket, "get" | "put" | "list" | "delete">;

/** R2 did not answer in time. What was to be written may be there all the same. */
export class ArchiveUnavailable extends Error {
	override readonly name = "ArchiveUnavailable";
}

/** The bucket as everybody calls it: each call has an end. */
export function inTime(bucket: Archive): Archive {
	const timed =
		<Args extends unknown[], T>(call: (...args: Args) => Promise<T>) =>
		(...args: Args) =>
			answered(call.apply(bucket, args));
	const { get, put, list, delete: remove } = bucket;
	// Each has the type of what it stands for, but for the forms that one name has.
	return {
		...{ get: timed(get), put: timed(put as Archive["put"]) },
		...{ list: timed(list), delete: timed(remove) },
	} as Archive;
}

/** The bytes of an object, some at a time. */
export async function* piecesOf({ body }: R2ObjectBody): AsyncGenerator<Uint8Array> {
	const reader = (body as ReadableStream<Uint8Array>).getReader();
	try {
		for (;;) {
			const { done, value } = await answered(reader.read());
			if (done) return;
			yield value;
		}
	} finally {
		reader.cancel().catch(() => {}); // what nobody waits for any more
	}
}

/** A whole object. @throws AuditUnreadable */
export async function bytesIn(bucket: Archive, key: string): Promise<ArrayBuffer> {
	try {
		const found = await bucket.get(key);
		if (found) return await answered(found.arrayBuffer());
	} catch (error) {
		throw new AuditUnreadable(`${key}: ${error instanceof Error ? error.message : "unknown"}`);
	}
	throw new AuditUnreadable(`${key} is not in the archive`);
}

function answered<T>(call: Promise<T>): Promise<T> {
	return within(call, limits.archiveTimeoutMs, () => {
		throw new ArchiveUnavailable(`no answer in ${limits.archiveTimeoutMs} ms`);
	});
}
