import { type Bytes, fromBase64, toBase64 } from "../lib/bytes.ts";
import { isUuid } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import { leafOf } from "./chain.ts";
import { type Checkpoint, isSound } from "./checkpoint.ts";
import {
	type ExpiredDay,
	type ExportedRecord,
	type ExportHeader,
	type ExportRow,
	type ExportSeal,
	lineOf,
	runningNext,
	runningPast,
	runningStart,
} from "./export.ts";
import { canonicalRecord, decodeRecord } from "./record.ts";
import type { StatementReader } from "./signer.ts";
import type { SourcedRecord } from "./source.ts";
import { ChainWalk, type Finding, numbered } from "./walk.ts";

export interface Verdict {
	readonly records: number;
	readonly chains: number;
	/** The first of them. */
	readonly findings: readonly Finding[];
	/** How many there are. */
	readonly found: number;
	/** Whether it has every record of the checkpoint: an export without a filter. */
	readonly isWhole: boolean;
	readonly checkpoint: Checkpoint | null;
	/** How many days' records were deleted before, because they were old enough; and how many records. */
	readonly expired: { readonly days: number; readonly records: number };
	/**
	 * Stretches of the chains that were let go of. What came later was not checked against them: neither their
	 * neighbours, nor other records with their numbers. None of a whole export that has no findings.
	 */
	readonly dropped: number;
	/** What it was filtered by; null where the first line could not be read. */
	readonly filter: ExportHeader["export"]["filter"] | null;
}

/** Numbers of lines that have not come yet. */
interface Gap {
	from: number;
	to: number;
}

/** What a verifier keeps at the most. */
interface VerifierBounds {
	/** Stretches of the chains. */
	readonly runs: number;
	/** Stretches of the lines that have not come yet. */
	readonly gaps: number;
	readonly findings: number;
}

const bounds: VerifierBounds = {
	runs: limits.auditVerifyRuns,
	gaps: limits.auditVerifyGaps,
	findings: limits.auditVerifyFindings,
};

/**
 * Checks an export line by line with nothing but the public key, in memory that does not grow with
 * it. Three things hold it together: the running digest from line to line, which a seal signs now and
 * then and at the end; the links of the chains; and the heads of the chains, which the first line signs.
 */
export class ExportVerifier {
	readonly #read: StatementReader;
	readonly #since: Checkpoint | null;
	readonly #bounds: VerifierBounds;
	readonly #findings: Finding[] = [];
	#found = 0;
	readonly #gaps: Gap[] = [];
	#gapsDropped = 0;
	#line = 0;
	#header: ExportHeader["export"] | null = null;
	#checkpoint: Checkpoint | null = null;
	#walk: ChainWalk | null = null;
	/** The number that the next record has, and the digest up to it. */
	#next = 1;
	#running: Bytes = new Uint8Array();
	#records = 0;
	readonly #expired = { days: 0, records: 0 };
	#lastId: string | null = null;
	#hasEnded = false;
	#isWhole = false;
	#hasReturns = false;
	/** Where the stretch began that the next seal is for. */
	#sealedAt = 1;

	/** @param since a checkpoint that was kept: the export must go on from it */
	constructor(
		read: StatementReader,
		since: Checkpoint | null = null,
		most: Partial<VerifierBounds> = {},
	) {
		this.#read = read;
		this.#since = since;
		this.#bounds = { ...bounds, ...most };
	}

	/** One line of the export, without its end; null for one that is no text. */
	async line(told: string | null): Promise<void> {
		this.#line++;
		const text = told === null ? null : this.#withoutReturn(this.#withoutMark(told));
		const value = text === null ? null : parsed(text);
		if (text === null || value === null)
			return this.find("unreadable", "this line is no line of an export");
		if (this.#line === 1) return this.begin(text);
		if (this.#hasEnded) return this.find("added", "this line comes after the end of the export");
		const { end, seal, expired } = value;
		if (typeof end === "string") {
			this.#isAll(text, { end });
			await this.end(end);
		} else if (typeof seal === "string") {
			this.#isAll(text, { seal });
			await this.#seal("edgesign-audit-seal+jwt", seal);
		} else if (typeof expired === "string") {
			this.#isAll(text, { expired });
			await this.expired(expired);
		} else this.#record(text, value as unknown as ExportedRecord);
	}

	/** Editors put one before the first line; the service writes none. */
	#withoutMark(told: string): string {
		if (this.#line !== 1 || !told.startsWith("\uFEFF")) return told;
		this.find("changed", "a byte order mark stands before the export; all else is checked without");
		return told.slice(1);
	}

	/** When there are no more lines. */
	done(): Verdict {
		if (!this.#hasEnded) {
			const where = this.#next === 1 ? "before its first record" : `after record ${this.#next - 1}`;
			const message = `the export ends ${where}, without its last line`;
			this.find("cut_off", message, null);
		}
		for (const { from, to } of this.#gaps) {
			this.find("missing", `${numbered("record", from, to)} of the export`, null);
		}
		this.#found += this.#gapsDropped;
		for (const finding of this.#walk?.done(this.#isWhole) ?? []) this.#add(finding);
		return {
			records: this.#records,
			chains: this.#walk?.chains ?? 0,
			findings: this.#findings,
			found: this.#found,
			dropped: this.#walk?.dropped ?? 0,
			isWhole: this.#isWhole,
			checkpoint: this.#checkpoint,
			expired: this.#expired,
			filter: this.#header?.filter ?? null,
		};
	}

	/** What an export begins with: the text of its first line. */
	async begin(text: string): Promise<void> {
		const header = headerOf(parsed(text) ?? {});
		if (header === null) return this.find("unreadable", "this is not the first line of an export");
		this.#header = header;
		this.#isWhole = Object.values(header.filter).every((value) => value === null);
		this.#running = runningStart(text);
		const signed = await this.#read("edgesign-audit-checkpoint+jwt", header.checkpoint);
		const checkpoint = signed as Checkpoint | null;
		if (!checkpoint)
			return this.find("forged", "the checkpoint is not signed by one of these keys");
		if (!isSound(checkpoint))
			this.find("forged", "the checkpoint's root is not that of its chains");
		this.#checkpoint = checkpoint;
		this.#walk = new ChainWalk(checkpoint, this.#since);
	}

	/** A record that is told by its fields; `place` is that of its row, from 1. */
	row(n: number, found: SourcedRecord, running: Bytes, place: number): void {
		this.#line = place;
		const encoded = canonicalRecord(found.record);
		this.#placed({ n, found, encoded, running }, (right) => isSame(right, running));
	}

	/** The statement of a day whose records were deleted. */
	async expired(jws: string): Promise<void> {
		this.#running = runningPast(this.#running, jws);
		const day = (await this.#read("edgesign-audit-expired+jwt", jws)) as ExpiredDay | null;
		const isOurs = day?.export === this.#header?.id && day?.tenant === this.#checkpoint?.tenant;
		if (!day || !isOurs) {
			return this.find("forged", "what is said of a deleted day is not signed for this export");
		}
		this.#expired.days++;
		this.#expired.records += day.records;
		this.#walk?.expire(day.chains, day.deleted);
	}

	/** The statement at the end; what it says, if it is by one of the keys. */
	async end(jws: string): Promise<ExportSeal | null> {
		const seal = await this.#seal("edgesign-audit-export+jwt", jws);
		this.#hasEnded = true;
		return seal;
	}

	async #seal(
		type: "edgesign-audit-seal+jwt" | "edgesign-audit-export+jwt",
		jws: string,
	): Promise<ExportSeal | null> {
		const seal = (await this.#read(type, jws)) as ExportSeal | null;
		const last = this.#next - 1;
		const isNone = last < this.#sealedAt;
		const stretch = isNone ? "no record" : numbered("record", this.#sealedAt, last);
		this.#sealedAt = this.#next;
		if (!seal || seal.export !== this.#header?.id) {
			this.find("forged", `what stands behind ${stretch} is not signed for this export`);
			return null;
		}
		if (seal.count >= this.#next) {
			this.#gaps.push({ from: this.#next, to: seal.count });
			this.#boundGaps();
		} else if (seal.count < this.#next - 1) {
			this.find("added", `${stretch}: the service signed ${seal.count} up to here`);
		} else if (seal.running !== toBase64(this.#running)) {
			const place =
				last === 0 ? "the first line, or what follows it" : `what follows record ${last}`;
			const none = `${place}: it is not what the service signed`;
			const some = `${stretch}: they are not those that the service signed`;
			this.find("changed", isNone ? none : some);
		}
		this.#next = seal.count + 1;
		this.#running = fromBase64(seal.running) ?? this.#running;
		return seal;
	}

	/**
	 * Line ends that were changed are told once, and then read as those that the service wrote: they would
	 * hide whatever else was changed. No line has that character itself, as JSON escapes it.
	 */
	#withoutReturn(text: string): string {
		if (!text.endsWith("\r")) return text;
		if (!this.#hasReturns) {
			const message = "there is a carriage return (\\r) at its end";
			this.find("changed", `${message}: line ends were changed, which is told once`);
		}
		this.#hasReturns = true;
		return text.slice(0, -1);
	}

	/** Nothing else may stand in a line: what no signature covers would hold, whatever it is. */
	#isAll(text: string, line: Readonly<Record<string, string>>): void {
		if (text !== JSON.stringify(line)) {
			this.find("changed", "this line is not written as the service writes it");
		}
	}

	#record(text: string, line: ExportedRecord): void {
		const row = readLine(line);
		if (row) {
			const written = (running: Bytes) => JSON.stringify(lineOf({ ...row, running }));
			this.#placed(row, (running) => text === written(running));
			return;
		}
		const message = isNumber(line.n)
			? `record ${line.n}: it can not be read`
			: "this line is no line of an export";
		this.find("unreadable", message);
	}

	/** @param isAsWritten whether it says what the service says of this record, with that digest */
	#placed(row: ExportRow, isAsWritten: (running: Bytes) => boolean): void {
		const { n, found, encoded } = row;
		const name = `record ${n}, ${found.record.id}`;
		this.#records++;
		const leaf = leafOf(encoded);
		if (n < this.#next) {
			if (this.#isElsewhere(n, name)) {
				// It is there, so the chain's walk does not miss it too.
				for (const finding of this.#walk?.add(found, leaf, this.#line) ?? []) this.#add(finding);
			}
			return;
		}
		const isNext = n === this.#next;
		if (!isNext) this.#gaps.push({ from: this.#next, to: n - 1 });
		this.#boundGaps();
		const isChanged = !isAsWritten(isNext ? runningNext(this.#running, found, leaf) : row.running);
		// The digest of the first line is told nowhere, but in that of the first record.
		const isByDigest = isNext && n === 1 && isAsWritten(row.running);
		if (isChanged && isByDigest) this.find("changed", `${name}, or the first line of the export`);
		else if (isChanged) this.find("changed", name);
		else if (this.#lastId !== null && found.record.id >= this.#lastId) {
			this.find("reordered", `${name}: the one before it is older`);
		}
		this.#next = n + 1;
		this.#running = row.running;
		this.#lastId = found.record.id;
		for (const finding of this.#walk?.add(found, leaf, this.#line) ?? []) {
			if (!isChanged) this.#add(finding);
		}
		// Those of a whole export tell what is missing of it, so all are kept for as long as it may hold.
		const isBad = this.#found + this.#gaps.length > 0;
		if (isBad || !this.#isWhole) this.#walk?.trim(this.#bounds.runs);
	}

	/** The newest are kept, and so many that no more findings would be told. */
	#boundGaps(): void {
		for (; this.#gaps.length > this.#bounds.gaps; this.#gapsDropped++) this.#gaps.shift();
	}

	/** Whether a number that is past was missing where it belongs; else it is there twice. */
	#isElsewhere(n: number, name: string): boolean {
		const index = this.#gaps.findIndex(({ from, to }) => from <= n && n <= to);
		const gap = this.#gaps[index];
		if (!gap) {
			const isUnsure = this.#gapsDropped > 0;
			this.find("added", isUnsure ? `${name}, unless it stands elsewhere than it did` : name);
			return false;
		}
		const parts = [
			{ from: gap.from, to: n - 1 },
			{ from: n + 1, to: gap.to },
		];
		this.#gaps.splice(index, 1, ...parts.filter(({ from, to }) => from <= to));
		this.#boundGaps();
		this.find("reordered", name);
		return true;
	}

	find(kind: Finding["kind"], message: string, line: number | null = this.#line): void {
		this.#add({ kind, line, message });
	}

	#add(finding: Finding): void {
		this.#found++;
		if (this.#findings.length < this.#bounds.findings) this.#findings.push(finding);
	}
}

function parsed(text: string): Readonly<Record<string, unknown>> | null {
	try {
		const value: unknown = JSON.parse(text);
		return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : null;
	} catch {
		return null;
	}
}

/** The first line's; null for what is none. What else it has is covered by the digest of its text. */
function headerOf(value: Readonly<Record<string, unknown>>): ExportHeader["export"] | null {
	const header = (value as Partial<ExportHeader>).export;
	const isHeader =
		header?.format === 1 &&
		typeof header.id === "string" &&
		typeof header.checkpoint === "string" &&
		typeof header.filter === "object" &&
		header.filter !== null;
	return isHeader ? header : null;
}

function isNumber(value: unknown): boolean {
	return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** The record that the line's bytes are of, at the place that is told; null for what is none. */
function readLine({
	n,
	canonical,
	record: told,
	running: digest,
}: ExportedRecord): ExportRow | null {
	try {
		const [head, item] = canonical.map((part) => fromBase64(part));
		const [link, running] = [told.link, digest].map((text) => fromBase64(text));
		const { chain, sequence } = told;
		if (!head || !item || !link || !running) return null;
		if (![n, sequence].every(isNumber) || !isUuid(chain)) return null;
		const encoded = { head, item };
		const found = { record: decodeRecord(encoded), chain, sequence, link };
		return { n, found, encoded, running };
	} catch {
		return null;
	}
}

function isSame(a: Bytes, b: Bytes): boolean {
	return a.length === b.length && a.every((byte, at) => byte === b[at]);
}
