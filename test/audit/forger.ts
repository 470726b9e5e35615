import { leafOf } from "../../src/audit/chain.ts";
import { runningNext, runningStart } from "../../src/audit/export.ts";
import { canonicalRecord, decodeRecord } from "../../src/audit/record.ts";
import { showRecord } from "../../src/audit/shown.ts";
import { fromBase64, toBase64 } from "../../src/lib/bytes.ts";

/** Changes an export as somebody would who can do everything but sign: numbers and digests are made anew. */
export class ExportForger {
	readonly #lines: readonly string[];

	constructor(lines: readonly string[]) {
		this.#lines = lines;
	}

	without(n: number): string[] {
		return this.#remade(this.#lines.filter((_, index) => index !== n));
	}

	withOutcome(n: number, outcome: string): string[] {
		const line = JSON.parse(this.#lines[n] ?? "");
		const [head, item] = line.canonical.map(fromBase64);
		const record = { ...decodeRecord({ head, item }), outcome };
		const encoded = canonicalRecord(record);
		const { chain, sequence, link } = line.record;
		line.record = showRecord({
			record,
			chain,
			sequence,
			link: fromBase64(link) ?? new Uint8Array(),
		});
		line.canonical = [encoded.head, encoded.item].map(toBase64);
		return this.#remade(this.#lines.with(n, JSON.stringify(line)));
	}

	#remade(lines: readonly string[]): string[] {
		const [first = "", ...rest] = lines;
		const end = rest.pop() ?? "";
		let running = runningStart(first);
		const remade = rest.map((text, index) => {
			const line = JSON.parse(text);
			const [head, item] = line.canonical.map(fromBase64);
			const { chain, sequence } = line.record;
			const link = fromBase64(line.record.link) ?? new Uint8Array();
			running = runningNext(running, { chain, sequence, link }, leafOf({ head, item }));
			return JSON.stringify({ ...line, n: index + 1, running: toBase64(running) });
		});
		return [first, ...remade, end];
	}
}
