import type { Bytes } from "../lib/bytes.ts";
import { readSequence, readUnsigned, tags, writeElement, writeUnsigned } from "./asn1.ts";

/** ECDSA-Sig-Value (RFC 3279 section 2.2.3) of r||s. */
export function toDer(rs: Bytes): Bytes {
	const half = rs.length / 2;
	const r = writeUnsigned(rs.subarray(0, half));
	const s = writeUnsigned(rs.subarray(half));
	return writeElement(tags.sequence, r, s);
}

/** r||s, each `coordinateBytes` long; null where `der` is not the DER of two numbers that fit. */
export function fromDer(der: Bytes, coordinateBytes: number): Bytes | null {
	const elements = readSequence(der);
	if (elements?.length !== 2) return null;
	const r = readUnsigned(elements[0]);
	const s = readUnsigned(elements[1]);
	if (!r || !s || r.length > coordinateBytes || s.length > coordinateBytes) return null;
	const rs = new Uint8Array(2 * coordinateBytes);
	rs.set(r, coordinateBytes - r.length);
	rs.set(s, 2 * coordinateBytes - s.length);
	return rs;
}
