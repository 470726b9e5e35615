import { type Bytes, equalConstantTime } from "../lib/bytes.ts";
import type { Pace } from "../lib/pace.ts";
import * as limits from "../limits.ts";
import { type Archive, piecesOf } from "./archive-bucket.ts";

/** Work is counted in values of records: to send or to take so many bytes is as much as one of them. */
const bytesPerValue = 64;

/** Writes an object, some of it at a time. R2 compares it with its SHA-256. */
export async function storeSlowly(
	archive: Archive,
	key: string,
	bytes: Bytes,
	sha256: Bytes,
	pace: Pace,
): Promise<void> {
	const { readable, writable } = new FixedLengthStream(bytes.length);
	const send = async () => {
		const writer = writable.getWriter();
		for (let at = 0; at < bytes.length; at += limits.auditArchivePieceBytes) {
			const piece = bytes.subarray(at, at + limits.auditArchivePieceBytes);
			await writer.write(piece);
			await pace(piece.length / bytesPerValue);
		}
		await writer.close();
	};
	await Promise.all([archive.put(key, readable, { sha256 }), send()]);
}

/** What R2 has, some of it at a time. Throws unless it has this length and this SHA-256. */
export async function fetchSlowly(
	archive: Archive,
	key: string,
	length: number,
	sha256: Bytes,
	pace: Pace,
): Promise<Bytes> {
	const object = await archive.get(key);
	if (!object) throw changed(key);
	const bytes = new Uint8Array(length);
	let found = 0;
	for await (const chunk of piecesOf(object)) {
		if (found + chunk.length > length) throw changed(key);
		bytes.set(chunk, found);
		found += chunk.length;
		await pace(chunk.length / bytesPerValue);
	}
	const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
	if (found !== length || !equalConstantTime(digest, sha256)) throw changed(key);
	return bytes;
}

function changed(key: string): Error {
	return new Error(`${key} is not what was written`);
}
