import { fromHex, toHex } from "./bytes.ts";
import type { Clock } from "./clock.ts";
import type { Random } from "./random.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** A UUID of version 7 (RFC 9562 section 5.7): 48 bits of Unix milliseconds, then random bits, so ids sort by age. */
export function uuidv7(clock: Clock, random: Random): string {
	const bytes = random(16);
	const time = clock();
	const view = new DataView(bytes.buffer);
	view.setUint32(0, Math.floor(time / 0x1_0000));
	view.setUint16(4, time % 0x1_0000);
	view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70);
	view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
	return uuidText(bytes);
}

const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isUuid(text: string): boolean {
	return uuidPattern.test(text);
}

/** Its 16 bytes as they are written. */
export function uuidText(bytes: Uint8Array): string {
	const hex = toHex(bytes);
	return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** The 16 bytes of a UUID that is well formed. */
export function uuidBytes(text: string): Bytes {
	return fromHex(text.replaceAll("-", ""));
}
