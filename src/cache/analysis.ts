import * as limits from "../limits.ts";
import { SpatialFilter } from "./filter.ts";
import type { CacheCounts } from "./memory.ts";
import { Miniature } from "./miniature.ts";
import { type ReuseBucket, ReuseDistances } from "./reuse.ts";
import { S3Fifo } from "./s3fifo.ts";

/** What a cache of another size would miss, as parts of the reads from 0 to 1. */
export interface CurvePoint {
	readonly bytes: number;
	readonly missRatio: number;
	/** Of a cache in which the least recently used goes, for comparison. */
	readonly lruMissRatio: number;
}

const sizes = [1 / 16, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 3 / 4, 1, 3 / 2, 2, 4] as const;

/** Differences of the hit ratio that are worth a word, and that are none. */
const gainWorth = 0.02;
const gainNone = 0.005;
/** Beyond this, what is missed is missed for other reasons than lack of room. */
const unexplained = 0.05;

interface Reuse {
	readonly sampledReads: number;
	/** Part of them that were of nothing read before. */
	readonly first: number;
	readonly distances: readonly ReuseBucket[];
}

/** How a cache's names are read, followed in a sample of them: no name is kept, only hashes. */
export class CacheAnalysis {
	readonly #cacheBytes: number;
	readonly #reuse: ReuseDistances;
	readonly #miniatures: readonly Miniature[];
	/** That with which all samples begin. */
	readonly #filter = new SpatialFilter();
	#unsampled = 0;
	#sampled = 0;

	constructor(cacheBytes: number) {
		this.#cacheBytes = cacheBytes;
		this.#reuse = new ReuseDistances(Math.max(...sizes) * cacheBytes);
		this.#miniatures = sizes.map((size) => new Miniature(size * cacheBytes, new S3Fifo()));
	}

	/** @param hash of the name (hash.ts); @param bytes that its value holds in the cache */
	read(hash: number, bytes: number): void {
		this.#unsampled++;
		if (!this.#filter.takes(hash)) return;
		this.#countUnsampled(1);
		this.#sampled++;
		this.#reuse.read(hash, bytes);
		for (const miniature of this.#miniatures) miniature.read(hash, bytes);
	}

	/** Most reads are of no name in any sample; they are told of together, because each is on a request's way. */
	#countUnsampled(but = 0): void {
		const count = this.#unsampled - but;
		this.#unsampled = 0;
		this.#reuse.pass(count);
		for (const miniature of this.#miniatures) miniature.pass(count);
	}

	/** Miss ratios at ten sizes around that of the cache, if nothing expired. */
	curve(): CurvePoint[] {
		this.#countUnsampled();
		return this.#miniatures.map((miniature) => ({
			bytes: miniature.sizeBytes,
			missRatio: miniature.missRatio(),
			lruMissRatio: this.#reuse.missRatio(miniature.sizeBytes),
		}));
	}

	/** How much else is read between two reads of the same. */
	reuse(): Reuse {
		return {
			sampledReads: this.#sampled,
			first: this.#reuse.firstShare(),
			distances: this.#reuse.histogram(),
		};
	}

	/** One sentence on the size of the cache. */
	advice({ hits, misses }: Pick<CacheCounts, "hits" | "misses">): string {
		this.#countUnsampled();
		const reads = hits + misses;
		if (reads < limits.cacheAdviceReads) {
			return `There were ${reads} reads; advice needs ${limits.cacheAdviceReads}.`;
		}
		if (this.#sampled < limits.cacheAdviceSampledReads) {
			return `The sample has ${this.#sampled} of ${reads} reads, because few names are read; advice needs ${limits.cacheAdviceSampledReads}.`;
		}
		const [half, same, twice] = [1 / 2, 1, 2].map((size) => this.#hitRatioAt(size)) as Three;
		const measured = hits / reads;
		if (twice - same >= gainWorth) {
			return `Twice the size (${mebibytes(2 * this.#cacheBytes)}) would hit ${percent(twice)} instead of ${percent(same)}.`;
		}
		if (same - measured >= unexplained) {
			return `More room would not help: it hits ${percent(measured)} where its size allows ${percent(same)}, because entries expire or their tenant is changed.`;
		}
		if (same - half < gainNone) {
			return `Half the size (${mebibytes(this.#cacheBytes / 2)}) would do: it would hit ${percent(half)} where this hits ${percent(same)}.`;
		}
		return `The size fits: twice as much would hit ${percent(twice)} instead of ${percent(same)}, half as much ${percent(half)}.`;
	}

	/** About what it holds itself. */
	get bytes(): number {
		return this.#miniatures.reduce((sum, { bytes }) => sum + bytes, this.#reuse.bytes);
	}

	#hitRatioAt(size: (typeof sizes)[number]): number {
		return 1 - (this.#miniatures[sizes.indexOf(size)]?.missRatio() ?? 1);
	}
}

type Three = [number, number, number];

function percent(part: number): string {
	const percents = 100 * part;
	return `${percents > 99 && percents < 100 ? percents.toFixed(1) : Math.round(percents)} %`;
}

function mebibytes(bytes: number): string {
	return `${Number((bytes / 1024 ** 2).toPrecision(3))} MiB`;
}
