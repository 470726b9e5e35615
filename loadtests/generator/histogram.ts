import { nearestRank } from "../../bench/stats.ts";

/**
 * A log-linear histogram of times (Gil Tene's HdrHistogram): whole microseconds up to 2,047 exactly,
 * above that within 0.1 %, up to 35 minutes. A package for it (hdr-histogram-js) brings a codec in
 * WebAssembly and a compressor for a format that nothing here reads; what is needed is this file.
 */

/** Each power of two above the exact part has as many buckets. */
const perOctave = 1024;
const octaveBits = 10;
const largest = 2 ** 31 - 1;
const size = (31 - octaveBits) * perOctave + perOctave;

/** Pairs of a bucket's number and its count; what goes from process to process. */
export type SparseCounts = Uint32Array;

function bucketOf(microseconds: number): number {
	const shift = 31 - Math.clz32(microseconds) - octaveBits;
	return shift <= 0 ? microseconds : shift * perOctave + (microseconds >> shift);
}

/** The middle of a bucket, in microseconds. */
function middleOf(bucket: number): number {
	if (bucket < 2 * perOctave) return bucket;
	const shift = Math.floor(bucket / perOctave) - 1;
	return (bucket - shift * perOctave + 0.5) * 2 ** shift;
}

export class Histogram {
	readonly #counts = new Uint32Array(size);
	#count = 0;
	#sum = 0;
	#max = 0;
	/** Between which buckets anything is: most histograms are of a narrow stretch. */
	#first = size;
	#last = -1;

	get count(): number {
		return this.#count;
	}

	/** @param milliseconds below zero counts as zero */
	record(milliseconds: number): void {
		const microseconds = Math.min(largest, Math.max(0, Math.round(milliseconds * 1000)));
		this.#add(bucketOf(microseconds), 1);
	}

	#add(bucket: number, count: number): void {
		this.#counts[bucket] = (this.#counts[bucket] ?? 0) + count;
		this.#count += count;
		const value = middleOf(bucket);
		this.#sum += value * count;
		if (value > this.#max) this.#max = value;
		if (bucket < this.#first) this.#first = bucket;
		if (bucket > this.#last) this.#last = bucket;
	}

	add(sparse: SparseCounts): void {
		for (let at = 0; at < sparse.length; at += 2) this.#add(sparse[at] ?? 0, sparse[at + 1] ?? 0);
	}

	/** Milliseconds below which a share `p` (0 to 1) of the times lies: the nearest rank; NaN without any. */
	percentile(p: number): number {
		if (this.#count === 0) return Number.NaN;
		const rank = nearestRank(p, this.#count);
		let seen = 0;
		for (let bucket = this.#first; bucket <= this.#last; bucket++) {
			seen += this.#counts[bucket] ?? 0;
			if (seen >= rank) return middleOf(bucket) / 1000;
		}
		return this.max;
	}

	/** In milliseconds, as the next one; NaN without any. */
	get max(): number {
		return this.#count === 0 ? Number.NaN : this.#max / 1000;
	}

	get mean(): number {
		return this.#count === 0 ? Number.NaN : this.#sum / this.#count / 1000;
	}

	/** What it holds; it is empty after that. */
	take(): SparseCounts {
		const pairs: number[] = [];
		for (let bucket = this.#first; bucket <= this.#last; bucket++) {
			const count = this.#counts[bucket] ?? 0;
			if (count > 0) pairs.push(bucket, count);
		}
		this.#counts.fill(0, this.#first, this.#last + 1);
		this.#count = this.#sum = this.#max = 0;
		this.#first = size;
		this.#last = -1;
		return Uint32Array.from(pairs);
	}
}
