import { fromBase64, toBase64 } from "../lib/bytes.ts";
import { leafOf } from "./chain.ts";
import { type Checkpoint, isSound } from "./checkpoint.ts";
import {
	type ExportedRecord,
	type ExportHeader,
	type ExportSeal,
	runningNext,
	runningStart,
} from "./export.ts";
import { decodeRecord, type EncodedRecord } from "./record.ts";
import { showRecord } from "./shown.ts";
import type { StatementReader } from "./signer.ts";
import type { SourcedRecord } from "./source.ts";
import { ChainWalk, type Finding } from "./walk.ts";

type Bytes = Uint8Array<ArrayBuffer>;

export interface Verdict {
	readonly records: number;
	readonly chains: number;
	readonly findings: readonly Finding[];
	/** Whether it has every record of the checkpoint: an export without a filter. */
	readonly isWhole: boolean;
	readonly checkpoint: Checkpoint | null;
}

/** Numbers of lines that have not come yet. */
interface Gap {
	from: number;
	to: number;
}

const findingsMax = 1_000;

/**
 * Checks an export line by line with nothing but the public key, in memory that does not grow with
 * it. Three things hold it together: the running digest from line to line, which a seal signs now and
 * then and at the end; the links of the chains; and the heads of the chains, which the first line signs.
 */
export class ExportVerifier {
	readonly #read: StatementReader;
	readonly #since: Checkpoint | null;
	readonly #findings: Finding[] = [];
	readonly #gaps: Gap[] = [];
	#line = 0;
	#header: ExportHeader["export"] | null = null;
	#checkpoint: Checkpoint | null = null;
	#walk: ChainWalk | null = null;
	/** The number that the next record has, and the digest up to it. */
	#next = 1;
	#running: Bytes = new Uint8Array();
	#records = 0;
	#lastId: string | null = null;
	#hasEnded = false;
	/** Where the stretch began that the next seal is for. */
	#sealedAt = 1;

	/** @param since a checkpoint that was kept: the export must go on from it */
	constructor(read: StatementReader, since: Checkpoint | null = null) {
		this.#read = read;
		this.#since = since;
	}

	/** One line of the export, without its end. */
	async line(text: string): Promise<void> {
		this.#line++;
		const value = parsed(text);
		if (value === null) return this.#find("unreadable", "this line is no line of an export");
		if (this.#line === 1) return this.#begin(text, value);
		if (this.#hasEnded) return this.#find("added", "this line comes after the end of the export");
		if (typeof value.end === "string") return this.#end(value.end);
		if (typeof value.seal === "string") return this.#seal("edgesign-audit-seal+jwt", value.seal);
		return this.#record(value as unknown as ExportedRecord);
	}

	/** When there are no more lines. */
	done(): Verdict {
		if (!this.#hasEnded) {
			const message = `the export ends after record ${this.#next - 1}, without its last line`;
			this.#find("cut_off", message, null);
		}
		for (const { from, to } of this.#gaps) {
			const which = from === to ? `record ${from}` : `records ${from} to ${to}`;
			this.#find("missing", `${which} of the export`, null);
		}
		const isWhole = Object.values(this.#header?.filter ?? { none: "" }).every((v) => v === null);
		for (const finding of this.#walk?.done(isWhole) ?? []) this.#add(finding);
		return {
			records: this.#records,
			chains: this.#walk?.chains ?? 0,
			findings: this.#findings,
			isWhole,
			checkpoint: this.#checkpoint,
		};
	}

	async #begin(text: string, value: Readonly<Record<string, unknown>>): Promise<void> {
		const header = (value as Partial<ExportHeader>).export;
		if (header?.format !== 1)
			return this.#find("unreadable", "this is not the first line of an export");
		this.#header = header;
		this.#running = runningStart(text);
		const signed = await this.#read("edgesign-audit-checkpoint+jwt", header.checkpoint);
		const checkpoint = signed as Checkpoint | null;
		if (!checkpoint)
			return this.#find("forged", "the checkpoint is not signed by one of these keys");
		if (!isSound(checkpoint))
			this.#find("forged", "the checkpoint's root is not that of its chains");
		this.#checkpoint = checkpoint;
		this.#walk = new ChainWalk(checkpoint, this.#since);
	}

	async #end(jws: string): Promise<void> {
		await this.#seal("edgesign-audit-export+jwt", jws);
		this.#hasEnded = true;
	}

	async #seal(
		type: "edgesign-audit-seal+jwt" | "edgesign-audit-export+jwt",
		jws: string,
	): Promise<void> {
		const seal = (await this.#read(type, jws)) as ExportSeal | null;
		const stretch = `records ${this.#sealedAt} to ${this.#next - 1}`;
		this.#sealedAt = this.#next;
		if (!seal || seal.export !== this.#header?.id) {
			return this.#find("forged", `what stands behind ${stretch} is not signed for this export`);
		}
		if (seal.count >= this.#next) {
			this.#gaps.push({ from: this.#next, to: seal.count });
		} else if (seal.count < this.#next - 1) {
			this.#find("added", `${stretch}: the service signed ${seal.count} up to here`);
		} else if (seal.running !== toBase64(this.#running)) {
			this.#find("changed", `${stretch}: they are not those that the service signed`);
		}
		this.#next = seal.count + 1;
		this.#running = fromBase64(seal.running) ?? this.#running;
	}

	#record(line: ExportedRecord): void {
		const read = readLine(line);
		if (!read) {
			this.#find("unreadable", `record ${line.n}: it can not be read`);
			return;
		}
		const { found, encoded, shown } = read;
		const name = `record ${line.n}, ${found.record.id}`;
		this.#records++;
		if (line.n < this.#next) {
			this.#outOfOrder(line.n, name);
			return;
		}
		const isNext = line.n === this.#next;
		if (!isNext) this.#gaps.push({ from: this.#next, to: line.n - 1 });
		const leaf = leafOf(encoded);
		const running = toBase64(runningNext(this.#running, found, leaf));
		const isChanged = shown !== JSON.stringify(line.record) || (isNext && running !== line.running);
		if (isChanged) this.#find("changed", name);
		else if (this.#lastId !== null && found.record.id >= this.#lastId) {
			this.#find("reordered", `${name}: the one before it is older`);
		}
		this.#next = line.n + 1;
		this.#running = fromBase64(line.running) ?? this.#running;
		this.#lastId = found.record.id;
		for (const finding of this.#walk?.add(found, leaf, this.#line) ?? []) {
			if (!isChanged) this.#add(finding);
		}
	}

	/** A number that is past: it was missing where it belongs, or it is there twice. */
	#outOfOrder(n: number, name: string): void {
		const index = this.#gaps.findIndex(({ from, to }) => from <= n && n <= to);
		const gap = this.#gaps[index];
		if (!gap) {
			this.#find("added", name);
			return;
		}
		const parts = [
			{ from: gap.from, to: n - 1 },
			{ from: n + 1, to: gap.to },
		];
		this.#gaps.splice(index, 1, ...parts.filter(({ from, to }) => from <= to));
		this.#find("reordered", name);
	}

	#find(kind: Finding["kind"], message: string, line: number | null = this.#line): void {
		this.#add({ kind, line, message });
	}

	#add(finding: Finding): void {
		if (this.#findings.length < findingsMax) this.#findings.push(finding);
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

/** The record that the line's bytes are of, and how it is shown; null for what is none. */
function readLine({ canonical, record: told, running }: ExportedRecord): {
	readonly found: SourcedRecord;
	readonly encoded: EncodedRecord;
	readonly shown: string;
} | null {
	try {
		const [head, item] = canonical.map((part) => fromBase64(part));
		const link = fromBase64(told.link);
		if (!head || !item || !link || !fromBase64(running)) return null;
		const encoded = { head, item };
		const { chain, sequence } = told;
		const found = { record: decodeRecord(encoded), chain, sequence, link };
		return { found, encoded, shown: JSON.stringify(showRecord(found)) };
	} catch {
		return null;
	}
}
