import { hashToken } from "../../../src/auth/tokens.ts";
import { fromBase64, toBase64, toHex, utf8 } from "../../../src/lib/bytes.ts";
import { sha256 } from "../../../src/lib/sha256.ts";
import type { HabitName, HoldRequest, Side } from "./messages.ts";
import type { Operation } from "./service.ts";

const token = `es_main_${"A".repeat(43)}`;
const message = toBase64(new Uint8Array(32).fill(7));
const encoder = new TextEncoder();
const pool = new Uint8Array(4_096);
const macMessage = new Uint8Array(32).fill(7);
let macKey: CryptoKey | null = null;

/** What the service does in the way of every request, beside what is said to be cheaper, or dearer. */
export const habits: Readonly<Record<HabitName, Readonly<Record<Side, Operation>>>> = {
	"one-encoder": {
		service: () => utf8(token),
		bare: () => new TextEncoder().encode(token),
	},
	"token-hash": {
		service: () => hashToken(token),
		bare: () => toHex(sha256(pool.subarray(0, encoder.encodeInto(token, pool).written))),
	},
	"message-bytes": {
		service: () => fromBase64(message),
		bare: () => intoPool(message),
	},
	"row-strings": {
		service: () => parsed(0),
		bare: () => interned(parsed(0)),
	},
	// The least that an answer with an HS256 signature takes: the ceiling of micro/HS256.
	"mac-text": {
		service: () => mac().then((bytes) => toBase64(new Uint8Array(bytes))),
		bare: () => mac(),
	},
};

function mac(): Promise<ArrayBuffer> {
	return macKey ? crypto.subtle.sign("HMAC", macKey, macMessage) : firstMac();
}

async function firstMac(): Promise<ArrayBuffer> {
	const algorithm = { name: "HMAC", hash: "SHA-256" };
	const secret = new Uint8Array(32).fill(9);
	macKey = await crypto.subtle.importKey("raw", secret, algorithm, false, ["sign"]);
	return mac();
}

/** As fromBase64 does it, checks and all, but for where the bytes go. */
function intoPool(text: string): Uint8Array {
	const url = text.includes("-") || text.includes("_");
	const padding = text.endsWith("==") ? 2 : text.endsWith("=") ? 1 : 0;
	const bare = padding === 0 ? text : text.slice(0, text.length - padding);
	const { written } = pool.setFromBase64(bare, {
		alphabet: url ? "base64url" : "base64",
		lastChunkHandling: "loose",
	});
	if (written !== Math.floor((bare.length * 3) / 4)) throw new Error("it is well formed");
	return pool.subarray(0, written);
}

interface Row {
	tenant: string;
	algorithm: string;
	state: string;
	kek_id: string;
}

/** As a key's row comes from Postgres: what is the same in many rows is a text of its own in each. */
function parsed(number: number): Row {
	return JSON.parse(
		`{"id":"019a0000-0000-7000-8000-${String(number).padStart(12, "0")}","tenant":"a-tenant-of-many","name":"key-${number}","algorithm":"Ed25519","state":"enabled","kek_id":"kek-2026-11-21","sealed":"${"A".repeat(128)}"}`,
	);
}

const texts = new Map<string, string>();

function internedText(text: string): string {
	const known = texts.get(text);
	if (known !== undefined) return known;
	texts.set(text, text);
	return text;
}

function interned(row: Row): Row {
	row.tenant = internedText(row.tenant);
	row.algorithm = internedText(row.algorithm);
	row.state = internedText(row.state);
	row.kek_id = internedText(row.kek_id);
	return row;
}

let held: readonly Row[] = [];

/** Holds so many rows until it is asked for others; their strings interned or not. */
export function hold({ rows, isInterned }: HoldRequest): number {
	held = Array.from({ length: rows }, (_, number) =>
		isInterned ? interned(parsed(number)) : parsed(number),
	);
	return held.length;
}
