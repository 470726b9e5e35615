import { type Bytes, fromHex, toBase64 } from "../lib/bytes.ts";
import * as limits from "../limits.ts";
import { chainStart, linked } from "./chain.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { type DeletedBefore, DeletedNumbers, type DeletedOfChain } from "./deleted-numbers.ts";
import type { SourcedRecord } from "./source.ts";
import { type ChainSpan, countOf, gapsBetween, overlapsOf } from "./span.ts";

type Head = Checkpoint["chains"][number];

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
	readonly low: number;
	/** Of the first one, which is checked when the one before it comes. */
	readonly first: {
		readonly leaf: Bytes;
		readonly link: Bytes;
		readonly name: string;
		readonly line: number;
	};
	readonly high: number;
	/** Of the last one. */
	readonly link: Bytes;
	/** Where in the file it last grew. */
	readonly line: number;
}

/** What came of a chain. */
interface Came {
	/**
	 * The highest first: as most records come before those that they are linked to, it is the end of the
	 * list that grows. There are as many as there are gaps, and one more.
	 */
	runs: Run[];
	records: number;
	/** The number of the last one. */
	highest: number;
	/** Runs of it that were let go of. */
	dropped: number;
}

/** Follows the chains of an export, whose records come in the order of time, which is not quite theirs. */
export class ChainWalk {
	readonly #checkpoint: Checkpoint;
	readonly #since: Checkpoint | null;
	readonly #heads: ReadonlyMap<string, Head>;
	readonly #keptHeads: ReadonlyMap<string, Head>;
	/** Chains without a head in the checkpoint. */
	readonly #ended: ReadonlySet<string>;
	/** Chains whose records nothing vouches for: neither what the service knows now nor what was kept. */
	readonly #strangers: readonly string[];
	readonly #came = new Map<string, Came>();
	/** Runs that are in memory, and those that no longer are. */
	#kept = 0;
	#dropped = 0;
	readonly #deleted = new DeletedNumbers();

	/** @param since an earlier one, which every chain must go on from */
	constructor(checkpoint: Checkpoint, since: Checkpoint | null) {
		this.#checkpoint = checkpoint;
		this.#since = since;
		this.#heads = headsOf(checkpoint);
		this.#keptHeads = headsOf(since);
		const unknown = checkpoint.unknown ?? [];
		// Before there was a list of those that Postgres alone knows, they stood among the ended.
		const keptEnded = since?.unknown ? since.ended : [];
		const kept = new Set([...this.#keptHeads.keys(), ...keptEnded]);
		this.#ended = new Set([...checkpoint.ended, ...unknown.filter((id) => kept.has(id))]);
		this.#strangers = unknown.filter((id) => !kept.has(id));
	}

	get chains(): number {
		return this.#came.size;
	}

	get kept(): number {
		return this.#kept;
	}

	get dropped(): number {
		return this.#dropped;
	}

	/** What is wrong with it or with its neighbours. */
	add({ record, chain, sequence, link }: SourcedRecord, leaf: Bytes, line: number): Finding[] {
		const name = `${record.id}, number ${sequence} of the chain ${chain}`;
		// Beside what is signed, this bounds how many chains are followed.
		if (sequence > this.#lastOf(chain)) {
			return [{ kind: "added", line, message: `${name}: the checkpoint does not go so far` }];
		}
		const came = this.#cameOf(chain);
		const { runs } = came;
		const at = indexOf(runs, sequence);
		const below = runs[at];
		if (below && sequence <= below.high) {
			return [{ kind: "added", line, message: `${name}: there is another one at its place` }];
		}
		const findings = this.#againstHeads(chain, sequence, link, line);
		const changed = (who: string, place: number) => {
			findings.push({ kind: "changed", line: place, message: `${who}: its link does not hold` });
		};
		const before = below?.high === sequence - 1 ? below : null;
		const above = runs[at - 1];
		const after = above?.low === sequence + 1 ? above : null;
		const previous = before?.link ?? (sequence === 1 ? this.#startOf(chain) : null);
		if (previous && !holds(sequence, previous, leaf, link)) changed(name, line);
		if (after && !holds(after.low, link, after.first.leaf, after.first.link)) {
			changed(after.first.name, after.first.line);
		}
		const joined: Run = {
			low: before?.low ?? sequence,
			first: before?.first ?? { leaf, link, name, line },
			high: after?.high ?? sequence,
			link: after?.link ?? link,
			line,
		};
		const neighbours = (before ? 1 : 0) + (after ? 1 : 0);
		runs.splice(after ? at - 1 : at, neighbours, joined);
		this.#kept += 1 - neighbours;
		came.records++;
		came.highest = Math.max(came.highest, sequence);
		return findings;
	}

	/**
	 * Lets go of the older half of the runs once there are more than `max`. Neighbours come soon after each
	 * other, as the times of records are nearly in the order of their chain: so a run that has not grown for
	 * long hardly ever will, its neighbours being filtered out. The lowest ones of each chain stay, because
	 * what they follow, or that nothing can be at their numbers, may be told of with a deleted day, at the end.
	 */
	trim(max: number): void {
		if (this.#kept <= max) return;
		const all = [...this.#came.values()];
		const lowest = Math.max(1, Math.floor(max / 4 / all.length));
		const lines = all.flatMap(({ runs }) => runs.map(({ line }) => line));
		const oldest = lines.sort((a, b) => a - b)[lines.length >> 1] ?? 0;
		for (const came of all) {
			const { length } = came.runs;
			came.runs = came.runs.filter(({ line }, at) => line >= oldest || at >= length - lowest);
			const gone = length - came.runs.length;
			came.dropped += gone;
			this.#dropped += gone;
			this.#kept -= gone;
		}
	}

	/** What a day had whose records were deleted, and when they were (ISO 8601), as an export tells it. */
	expire(spans: readonly ChainSpan[], deleted?: string | null): void {
		const isBefore = this.#isBefore(deleted);
		for (const span of spans) this.#deleted.add(span, isBefore);
	}

	#isBefore(deleted: string | null | undefined): DeletedBefore {
		if (deleted === undefined) return null;
		const since = Date.parse(this.#checkpoint.at) - limits.auditDeletedBeforeMs;
		return deleted === null || Date.parse(deleted) <= since;
	}

	/** `isWhole`: every record up to the heads must have come. */
	done(isWhole: boolean): Finding[] {
		const behindKept = this.#since ? behind(this.#checkpoint, this.#since) : [];
		const lasts = isWhole ? this.#lasts() : [];
		return [
			...this.#strangers.map(stranger),
			...behindKept,
			...lasts.flatMap(([chain, last]) => this.#missing(chain, last)),
			...[...this.#deleted.chains].flatMap((chain) => [
				...this.#amongDeleted(chain),
				...this.#behindExpired(chain),
			]),
		];
	}

	/** Up to which number each chain must be there. Nobody signs where one ended whose object was lost. */
	#lasts(): [chain: string, last: number][] {
		const { chains } = this.#checkpoint;
		return [
			...chains.map(({ id, sequence }): [string, number] => [id, sequence]),
			...[...this.#ended].map((id): [string, number] => {
				const kept = this.#keptHeads.get(id)?.sequence ?? 0;
				const came = this.#came.get(id)?.highest ?? 0;
				const deleted = this.#deleted.of(id).spans.map(({ last }) => last.sequence);
				return [id, deleted.reduce((a, b) => Math.max(a, b), Math.max(kept, came))];
			}),
		];
	}

	/**
	 * What is missing of a chain up to that number, less what deleted days had of it: as many of their numbers are not
	 * there as they had records, and no fewer, or another record stands where one of theirs did.
	 */
	#missing(chain: string, last: number): Finding[] {
		const { runs = [], records = 0, dropped = 0 } = this.#came.get(chain) ?? {};
		const deleted = this.#deleted.of(chain);
		// These are told one by one.
		const named = countOf([...overlapsOf(runs.toReversed(), deleted.gone)]);
		if (dropped > 0) {
			const more = last - records + named - deleted.records;
			if (more > 0) return [missing(chain, `${more} numbers, in too many places to be named,`)];
			return crowded(chain, deleted, -more - deleted.lateRecords);
		}
		const had = [...deleted.gone, ...deleted.late].map(([low, high]) => ({ low, high }));
		const left = gapsBetween([...runs, ...had, ...deleted.vague], 1, last);
		const findings = left.map(({ from, to }) => missing(chain, numbered("number", from, to)));
		const late = countOf([...overlapsOf(runs.toReversed(), deleted.late)]);
		const gone = countOf(gapsBetween(runs, 1, last)) - countOf(left) + named + late;
		const more = gone - deleted.records;
		if (more > 0) findings.push(missing(chain, `${more} of the numbers of deleted days`));
		return [...findings, ...crowded(chain, deleted, -more - deleted.lateVague)];
	}

	/** Records whose numbers were those of others, which were deleted. */
	#amongDeleted(chain: string): Finding[] {
		const { gone, isDated } = this.#deleted.of(chain);
		const runs = this.#came.get(chain)?.runs.toReversed() ?? [];
		return [...overlapsOf(runs, gone)].map(({ stretch: { low, first }, from, to }) => {
			const isNamed = from === low;
			const more = from < to ? `, and what follows it up to number ${to}` : "";
			const who = isNamed
				? first.name + more
				: `${numbered("number", from, to)} of the chain ${chain}`;
			const message = `${who}: a deleted day had another record there${unlessLater(isDated)}`;
			return { kind: "added", line: isNamed ? first.line : null, message };
		});
	}

	/** The record after those of a deleted day is linked to the last of them. */
	#behindExpired(chain: string): Finding[] {
		const runs = this.#came.get(chain)?.runs ?? [];
		return this.#deleted.of(chain).spans.flatMap(({ last }) => {
			const link = fromHex(last.link);
			const after = last.sequence + 1;
			const next = runs[indexOf(runs, after)];
			const isBroken = next?.low === after && !holds(after, link, next.first.leaf, next.first.link);
			const findings = this.#againstHeads(chain, last.sequence, link, null);
			if (!isBroken) return findings;
			const message = `${next.first.name}: its link does not hold`;
			return [...findings, { kind: "changed" as const, line: next.first.line, message }];
		});
	}

	/** The record at which a checkpoint has the chain end is that one, and no other. */
	#againstHeads(chain: string, sequence: number, link: Bytes, line: number | null): Finding[] {
		const heads = [
			["the checkpoint", this.#heads.get(chain)],
			["the checkpoint that was kept", this.#keptHeads.get(chain)],
		] as const;
		const others = heads.filter(
			([, head]) => head?.sequence === sequence && head.link !== toBase64(link),
		);
		return others.map(([who]) => {
			const message = `number ${sequence} of the chain ${chain}: ${who} has another one there`;
			return { kind: "changed", line, message };
		});
	}

	/** The last number that the export can have of a chain: 0 for one that it can not have. */
	#lastOf(chain: string): number {
		if (this.#ended.has(chain)) return Number.POSITIVE_INFINITY;
		return this.#heads.get(chain)?.sequence ?? 0;
	}

	#cameOf(chain: string): Came {
		const came = this.#came.get(chain) ?? { runs: [], records: 0, dropped: 0, highest: 0 };
		this.#came.set(chain, came);
		return came;
	}

	#startOf(chain: string): Bytes | null {
		const head = this.#heads.get(chain);
		return head ? chainStart(head).link : null;
	}
}

function headsOf(checkpoint: Checkpoint | null): ReadonlyMap<string, Head> {
	return new Map(checkpoint?.chains.map((head) => [head.id, head]));
}

/** Of the first run that begins at that number or below it; their number where there is none. */
function indexOf(runs: readonly Run[], sequence: number): number {
	let [from, to] = [0, runs.length];
	while (from < to) {
		const middle = (from + to) >> 1;
		if ((runs[middle]?.low ?? 0) <= sequence) to = middle;
		else from = middle + 1;
	}
	return from;
}

/** Where a checkpoint does not go on from one that was kept, whatever the filter of its export. */
function behind(checkpoint: Checkpoint, kept: Checkpoint): Finding[] {
	if (checkpoint.tenant !== kept.tenant) {
		const message = `the export is of the tenant ${checkpoint.tenant}, the checkpoint that was kept of ${kept.tenant}`;
		return [{ kind: "forged", line: null, message }];
	}
	const findings: Finding[] = [];
	for (const { id, sequence, link } of kept.chains) {
		if ([...checkpoint.ended, ...(checkpoint.unknown ?? [])].includes(id)) continue;
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

function holds(sequence: number, previous: Bytes, leaf: Bytes, link: Bytes): boolean {
	const made = linked({ sequence: sequence - 1, link: previous }, leaf).link;
	return toBase64(made) === toBase64(link);
}

/** One of them, or a range. */
export function numbered(noun: string, from: number, to: number): string {
	return from === to ? `${noun} ${from}` : `${noun}s ${from} to ${to}`;
}

function stranger(chain: string): Finding {
	const message = `the chain ${chain}: neither an object nor the coordinator knows it`;
	return { kind: "added", line: null, message };
}

/** So many records more than have a place beside those that were deleted; none where it is not one at least. */
function crowded(chain: string, { spans, isDated }: DeletedOfChain, more: number): Finding[] {
	if (more <= 0) return [];
	const from = Math.min(...spans.map(({ first }) => first.sequence));
	const to = Math.max(...spans.map(({ last }) => last.sequence));
	const where = `${numbered("number", from, to)} of the chain ${chain}, of deleted days`;
	const who = `${more} ${more === 1 ? "record" : "records"} too many`;
	const message = `${who} among ${where}${unlessLater(isDated)}`;
	return [{ kind: "added", line: null, message }];
}

/** Statements of before did not tell whether the export can have records of the day. */
function unlessLater(isDated: boolean): string {
	return isDated ? "" : ", unless a day was deleted while the export was made";
}

function missing(chain: string, numbers: string): Finding {
	return { kind: "missing", line: null, message: `${numbers} of the chain ${chain}` };
}
