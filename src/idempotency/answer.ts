import type { AppendCall } from "../audit/log.ts";
import type { Failure } from "../errors.ts";
import { type Bytes, concat, utf8 } from "../lib/bytes.ts";
import { err, ok, type Result } from "../lib/result.ts";

/** An answer as it is kept: all of it but the headers that every answer has. */
export interface KeptAnswer {
	readonly status: number;
	/** Of its own: Content-Type, where there is a body. */
	readonly headers: Readonly<Record<string, string>>;
	readonly body: Bytes;
}

/**
 * A refusal is kept as such: its problem document gets the id of the request that it answers. The
 * record is kept beside it, because neither may be told before that is in the audit log.
 */
export type Outcome = Result<KeptAnswer, Failure> & { readonly record?: AppendCall };

interface Head {
	readonly failure?: Failure;
	readonly answer?: Omit<KeptAnswer, "body">;
	/** Where the record goes, and its length in bytes. */
	readonly record?: { readonly place: string; readonly length: number };
}

const headLengthBytes = 4;

/** `length of the head (4, big-endian) | head, JSON | record | body`. */
export function encodeOutcome(outcome: Outcome): Bytes {
	const { record } = outcome;
	const head: Head = {
		...(record && { record: { place: record.place, length: record.records.length } }),
		...(outcome.ok
			? { answer: { status: outcome.value.status, headers: outcome.value.headers } }
			: { failure: outcome.error }),
	};
	const headBytes = utf8(JSON.stringify(head));
	const length = new Uint8Array(headLengthBytes);
	new DataView(length.buffer).setUint32(0, headBytes.length);
	const none = new Uint8Array();
	return concat(length, headBytes, record?.records ?? none, outcome.ok ? outcome.value.body : none);
}

/** Only of bytes that encodeOutcome made: the seal has seen to that. */
export function decodeOutcome(bytes: Bytes): Outcome {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const recordAt = headLengthBytes + view.getUint32(0);
	const text = new TextDecoder().decode(bytes.subarray(headLengthBytes, recordAt));
	const { failure, answer, record }: Head = JSON.parse(text);
	const bodyAt = recordAt + (record?.length ?? 0);
	const kept = record && { place: record.place, records: bytes.slice(recordAt, bodyAt) };
	const told = answer ? ok({ ...answer, body: bytes.subarray(bodyAt) }) : failure && err(failure);
	if (!told) throw new Error("an outcome that is neither an answer nor a failure");
	return kept ? { ...told, record: kept } : told;
}
