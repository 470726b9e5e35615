import type { Failure } from "../errors.ts";
import { concat, utf8 } from "../lib/bytes.ts";
import { err, ok, type Result } from "../lib/result.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** An answer as it is kept: all of it but the headers that every answer has. */
export interface KeptAnswer {
	readonly status: number;
	/** Of its own: Content-Type, where there is a body. */
	readonly headers: Readonly<Record<string, string>>;
	readonly body: Bytes;
}

/** A refusal is kept as such: its problem document gets the id of the request that it answers. */
export type Outcome = Result<KeptAnswer, Failure>;

type Head = { readonly failure: Failure } | Omit<KeptAnswer, "body">;

const headLengthBytes = 4;

/** `length of the head (4, big-endian) | head, JSON | body`. */
export function encodeOutcome(outcome: Outcome): Bytes {
	const head: Head = outcome.ok
		? { status: outcome.value.status, headers: outcome.value.headers }
		: { failure: outcome.error };
	const headBytes = utf8(JSON.stringify(head));
	const length = new Uint8Array(headLengthBytes);
	new DataView(length.buffer).setUint32(0, headBytes.length);
	return concat(length, headBytes, outcome.ok ? outcome.value.body : new Uint8Array());
}

/** Only of bytes that encodeOutcome made: the seal has seen to that. */
export function decodeOutcome(bytes: Bytes): Outcome {
	const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
	const bodyAt = headLengthBytes + view.getUint32(0);
	const head: Head = JSON.parse(new TextDecoder().decode(bytes.subarray(headLengthBytes, bodyAt)));
	return "failure" in head ? err(head.failure) : ok({ ...head, body: bytes.subarray(bodyAt) });
}
