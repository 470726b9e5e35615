import type { Bytes } from "../lib/bytes.ts";
import { sha256 } from "../lib/sha256.ts";
import type { Input } from "../signing/types.ts";
import type { RecordItem, Target } from "./record.ts";

/** What a request has done, as its handler tells it. */
export interface Deed {
	readonly target: Target;
	/** One for each record; none where there is nothing to record. */
	readonly items: readonly DeedItem[];
	/** How many items the request had: its cost is divided among them. */
	readonly of: number;
}

export interface DeedItem extends Pick<RecordItem, "number" | "outcome"> {
	readonly input: Input;
	/** In its raw form. */
	readonly signature: Bytes;
}

/** What is longer is hashed beside other requests. */
const asynchronousFromBytes = 512;

export async function itemsOf({ items, of }: Deed, cost: number): Promise<RecordItem[]> {
	const each = Math.floor(cost / of);
	const records: RecordItem[] = [];
	for (const { number, outcome, input, signature } of items) {
		const hashed = digestOf(input.bytes);
		records.push({
			number,
			outcome,
			inputKind: input.kind,
			input: hashed instanceof Promise ? await hashed : hashed,
			signature: sha256(signature),
			cost: each,
		});
	}
	return records;
}

function digestOf(bytes: Bytes): Bytes | Promise<Bytes> {
	if (bytes.length < asynchronousFromBytes) return sha256(bytes);
	return crypto.subtle.digest("SHA-256", bytes).then((digest) => new Uint8Array(digest));
}
