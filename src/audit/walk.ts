import { fromHex, toBase64 } from "../lib/bytes.ts";
import { chainStart, linked } from "./chain.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { SourcedRecord } from "./source.ts";
import { type ChainSpan, countOf, gapsBetween } from "./span.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What is wrong with an export. */
export interface Finding {
	readonly kind:
		| "changed"
		| "missing"
		| "added"
		| "reordered"
		| "cut_off"
		| "forged"
		| "unreadable";
	/** Of the file, from 1; null for what is not in it. */
	readonly line: number | null;
	readonly message: string;
}

/** Records of a chain that follow each other without a gap, each checked against the one before it. */
interface Run {
	low: number;
	/** Of the first one, which is checked when the one before it comes. */
	first: {
		readonly leaf: Bytes;
		readonly link: Bytes;
		readonly name: string;
		readonly line: number;
	};
	high: number;
	/** Of the last one. */
	link: Bytes;
}

/** The runs of one chain by both of their ends: as many as there are gaps, and one more. */
interface Runs {
	readonly byLow: Map<number, Run>;
	readonly byHigh: Map<number, Run>;
}

/** Follows the chains of an export, whose records come in the order of time, which is not quite theirs. */
export class ChainWalk {
	readonly #checkpoint: Checkpoint;
	readonly #since: Checkpoint | null;
	readonly #runs = new Map<string, Runs>();
	/** What deleted days had of each chain. */
	readonly #expired = new Map<string, ChainSpan[]>();

	/** @param since an earlier one, which every chain must go on from */
	constructor(checkpoint: Checkpoint, since: Checkpoint | null) {
		this.#checkpoint = checkpoint;
		this.#since = since;
	}

	get chains(): number {
		return this.#runs.size;
	}

	/** What is wrong with it or with its neighbours. */
	add({ record, chain, sequence, link }: SourcedRecord, leaf: Bytes, line: number): Finding[] {
		const findings = this.#againstKept(chain, sequence, link, line);
		const runs = this.#runsOf(chain);
		const name = `${record.id}, number ${sequence} of the chain ${chain}`;
		const changed = (who: string, at: number) => {
			findings.push({ kind: "changed", line: at, message: `${who}: its link does not hold` });
		};
		if (runs.byLow.has(sequence) || runs.byHigh.has(sequence)) {
			return [{ kind: "added", line, message: `${name}: there is another one at its place` }];
		}
		const own: Run = { low: sequence, first: { leaf, link, name, line }, high: sequence, link };
		const before = runs.byHigh.get(sequence - 1);
		const start = sequence === 1 ? this.#startOf(chain) : null;
		const previous = before?.link ?? start;
		if (previous && !holds(sequence, previous, leaf, link)) changed(name, line);
		const after = runs.byLow.get(sequence + 1);
		if (after && !holds(after.low, link, after.first.leaf, after.first.link)) {
			changed(after.first.name, after.first.line);
		}
		join(runs, own, before, after);
		return findings;
	}

	/** What a day had whose records were deleted. */
	expire(spans: readonly ChainSpan[]): void {
		for (const span of spans) {
			const known = this.#expired.get(span.chain) ?? [];
			known.push(span);
			this.#expired.set(span.chain, known);
		}
	}

	/** `isWhole`: every record up to the heads must have come. */
	done(isWhole: boolean): Finding[] {
		const findings = this.#since ? behind(this.#checkpoint, this.#since) : [];
		for (const { id, sequence, link } of this.#checkpoint.chains) {
			const runs = this.#runs.get(id);
			const last = runs?.byHigh.get(sequence);
			if (last && toBase64(last.link) !== link) {
				const message = `number ${sequence} of the chain ${id}: the checkpoint has another one there`;
				findings.push({ kind: "changed", line: null, message });
			}
			if (isWhole) findings.push(...this.#missing(id, sequence));
		}
		for (const id of this.#checkpoint.ended) {
			const runs = this.#runs.get(id);
			const kept = this.#since?.chains.find((head) => head.id === id)?.sequence ?? 0;
			const last = Math.max(kept, ...(runs?.byHigh.keys() ?? []));
			if (isWhole) findings.push(...this.#missing(id, last));
		}
		for (const [id, spans] of this.#expired) findings.push(...this.#behindExpired(id, spans));
		return findings;
	}

	/** What is missing of a chain up to that number, less what deleted days had of it. */
	#missing(chain: string, last: number): Finding[] {
		const gaps = gapsBetween(stretchesOf(this.#runs.get(chain)), 1, last);
		const spans = this.#expired.get(chain) ?? [];
		const deleted = spans.map(({ first, last }) => ({ low: first.sequence, high: last.sequence }));
		const left = gaps.flatMap(({ from, to }) => gapsBetween(deleted, from, to));
		const findings = left.map(({ from, to }) => missing(chain, numbered("number", from, to)));
		// The days before and after one may have a part of its numbers: how many they are is what is signed.
		const atMost = spans.reduce((sum, { records }) => sum + records, 0);
		const more = countOf(gaps) - countOf(left) - atMost;
		if (more > 0) findings.push(missing(chain, `${more} of the numbers of deleted days`));
		return findings;
	}

	/** The record after those of a deleted day is linked to the last of them. */
	#behindExpired(chain: string, spans: readonly ChainSpan[]): Finding[] {
		const runs = this.#runs.get(chain);
		return spans.flatMap(({ last }) => {
			const link = fromHex(last.link);
			const next = runs?.byLow.get(last.sequence + 1);
			const isBroken = next && !holds(next.low, link, next.first.leaf, next.first.link);
			const findings = this.#againstKept(chain, last.sequence, link, null);
			if (!isBroken) return findings;
			const message = `${next.first.name}: its link does not hold`;
			return [...findings, { kind: "changed" as const, line: next.first.line, message }];
		});
	}

	/** The record that a kept checkpoint has is that one, and no other. */
	#againstKept(chain: string, sequence: number, link: Bytes, line: number | null): Finding[] {
		const kept = this.#since?.chains.find(({ id }) => id === chain);
		if (kept?.sequence !== sequence || kept.link === toBase64(link)) return [];
		const message = `number ${sequence} of the chain ${chain}: the checkpoint that was kept has another one there`;
		return [{ kind: "changed", line, message }];
	}

	#runsOf(chain: string): Runs {
		const runs = this.#runs.get(chain) ?? { byLow: new Map(), byHigh: new Map() };
		this.#runs.set(chain, runs);
		return runs;
	}

	#startOf(chain: string): Bytes | null {
		const head = this.#checkpoint.chains.find(({ id }) => id === chain);
		return head ? chainStart(head).link : null;
	}
}

/** Where a checkpoint does not go on from one that was kept, whatever the filter of its export. */
function behind(checkpoint: Checkpoint, kept: Checkpoint): Finding[] {
	if (checkpoint.tenant !== kept.tenant) {
		const message = `the export is of the tenant ${checkpoint.tenant}, the checkpoint that was kept of ${kept.tenant}`;
		return [{ kind: "forged", line: null, message }];
	}
	const findings: Finding[] = [];
	for (const { id, sequence, link } of kept.chains) {
		if (checkpoint.ended.includes(id)) continue;
		const head = checkpoint.chains.find((known) => known.id === id);
		if (head?.sequence === sequence && head.link !== link) {
			const message = `number ${sequence} of the chain ${id}: the export's checkpoint has another one there than the one that was kept`;
			findings.push({ kind: "changed", line: null, message });
		}
		for (const { from, to } of gapsBetween([], (head?.sequence ?? 0) + 1, sequence)) {
			findings.push(missing(id, numbered("number", from, to)));
		}
	}
	return findings;
}

function join({ byLow, byHigh }: Runs, own: Run, before?: Run, after?: Run): void {
	if (before) byHigh.delete(before.high);
	if (after) byLow.delete(after.low);
	const joined: Run = {
		...(before ?? own),
		high: after?.high ?? own.high,
		link: after?.link ?? own.link,
	};
	byLow.set(joined.low, joined);
	byHigh.set(joined.high, joined);
}

function holds(sequence: number, previous: Bytes, leaf: Bytes, link: Bytes): boolean {
	const made = linked({ sequence: sequence - 1, link: previous }, leaf).link;
	return toBase64(made) === toBase64(link);
}

/** One of them, or a range. */
export function numbered(noun: string, from: number, to: number): string {
	return from === to ? `${noun} ${from}` : `${noun}s ${from} to ${to}`;
}

function missing(chain: string, numbers: string): Finding {
	return { kind: "missing", line: null, message: `${numbers} of the chain ${chain}` };
}

function stretchesOf(runs: Runs | undefined): readonly Run[] {
	return [...(runs?.byLow.values() ?? [])];
}
