import * as limits from "../limits.ts";
import { SpatialFilter } from "./filter.ts";

/** Reads that came again after more than `fromBytes` and at most `toBytes` of other names. */
export interface ReuseBucket {
	readonly fromBytes: number;
	readonly toBytes: number;
	/** Of all reads. */
	readonly share: number;
}

const perOctave = 8;
const smallestBytes = 64;
const octaves = 28; // from 64 bytes up to 16 GiB

/**
 * How much is read between two reads of the same name, in bytes of different names: the reuse distance,
 * estimated from a sample of fixed size (SHARDS). A cache of least recent use hits what comes again within
 * its size, so the sum of the distances is the miss-ratio curve of one.
 */
export class ReuseDistances {
	readonly #filter = new SpatialFilter();
	/** By hash, read least recently first: where in the tree a name stands, and what it holds. */
	readonly #tracked = new Map<number, { readonly slot: number; readonly bytes: number }>();
	/** Bytes by the order of last reads, as a Fenwick tree: sums of a beginning in logarithmic time. */
	#tree = new Float64Array(slots + 1);
	#nextSlot = 1;
	#trackedBytes = 0;
	readonly #counts = new Float64Array(perOctave * octaves + 1);
	/** Reads of what was not seen before, or not within the horizon. */
	#never = 0;
	#reads = 0;
	readonly #horizonBytes: number;

	/** @param horizonBytes the distance from which on it does not matter how far it is */
	constructor(horizonBytes: number) {
		this.#horizonBytes = horizonBytes;
	}

	get reads(): number {
		return this.#reads;
	}

	/** @param hash of the name (hash.ts); @param bytes that its value holds in the cache */
	read(hash: number, bytes: number): void {
		this.pass(1);
		if (!this.#filter.takes(hash)) return;
		const known = this.#tracked.get(hash);
		if (known) {
			const since = this.#trackedBytes - this.#sumTo(known.slot);
			this.#count((since + bytes) / this.#filter.rate);
			this.#forget(hash, known);
		} else this.#never++;
		this.#track(hash, bytes);
		while (this.#tracked.size > limits.cacheReuseNames) this.#thin();
	}

	/** So many reads were of names that are not in the sample. */
	pass(count: number): void {
		this.#reads += count;
		if (this.#reads > limits.cacheCurveReads) this.#fade();
	}

	/** Part of the reads that a cache of least recent use with so many bytes would miss, 0 to 1. */
	missRatio(cacheBytes: number): number {
		const end = positionOf(cacheBytes);
		let beyond = this.#never;
		for (let i = Math.floor(end) + 1; i < this.#counts.length; i++) beyond += this.#counts[i] ?? 0;
		beyond += (1 - (end % 1)) * (this.#counts[Math.floor(end)] ?? 0);
		return ratio(beyond, this.#expected());
	}

	/** The distances by powers of two, without the empty ones at both ends. */
	histogram(): ReuseBucket[] {
		const sampled = this.#sampled();
		const buckets = Array.from({ length: octaves }, (_, octave): ReuseBucket => {
			const counts = this.#counts.subarray(octave * perOctave, (octave + 1) * perOctave);
			const toBytes = smallestBytes * 2 ** (octave + 1);
			const share = ratio(sumOf(counts), sampled);
			return { fromBytes: octave === 0 ? 0 : toBytes / 2, toBytes, share };
		});
		const isUsed = ({ share }: ReuseBucket) => share > 0;
		const first = buckets.findIndex(isUsed);
		return first === -1 ? [] : buckets.slice(first, buckets.findLastIndex(isUsed) + 1);
	}

	/** Part of the reads that were of nothing seen before, or not within the horizon. */
	firstShare(): number {
		return ratio(this.#never, this.#sampled());
	}

	/** About what it holds itself. */
	get bytes(): number {
		return this.#tree.byteLength + this.#counts.byteLength + trackedNameBytes * this.#tracked.size;
	}

	#sampled(): number {
		return this.#never + sumOf(this.#counts);
	}

	/**
	 * Reads that the sample would have if each name were read equally often. It is held against this, not
	 * against what it has: the few names that are read most are in it or not, and are hits anyway (SHARDS-adj).
	 */
	#expected(): number {
		return this.#reads * this.#filter.rate;
	}

	#count(distance: number): void {
		const position = Math.min(Math.floor(positionOf(distance)), this.#counts.length - 1);
		this.#counts[position] = (this.#counts[position] ?? 0) + 1;
	}

	#track(hash: number, bytes: number): void {
		if (this.#nextSlot > slots) this.#renumber();
		const slot = this.#nextSlot++;
		this.#add(slot, bytes);
		this.#trackedBytes += bytes;
		this.#tracked.set(hash, { slot, bytes });
		while (this.#trackedBytes > this.#horizonBytes * this.#filter.rate) {
			const [oldest] = this.#tracked;
			if (!oldest) return;
			this.#forget(...oldest);
		}
	}

	#forget(hash: number, { slot, bytes }: { readonly slot: number; readonly bytes: number }): void {
		this.#add(slot, -bytes);
		this.#trackedBytes -= bytes;
		this.#tracked.delete(hash);
	}

	#thin(): void {
		const part = this.#filter.lower();
		for (const [hash, known] of this.#tracked) {
			if (!this.#filter.takes(hash)) this.#forget(hash, known);
		}
		this.#scale(part);
	}

	/** What was long ago counts for half as much as what is now. */
	#fade(): void {
		this.#reads /= 2;
		this.#scale(1 / 2);
	}

	#scale(part: number): void {
		this.#never *= part;
		for (let i = 0; i < this.#counts.length; i++) this.#counts[i] = (this.#counts[i] ?? 0) * part;
	}

	#renumber(): void {
		const all = [...this.#tracked];
		this.#tree = new Float64Array(slots + 1);
		this.#nextSlot = 1;
		for (const [hash, { bytes }] of all) {
			const slot = this.#nextSlot++;
			this.#tracked.set(hash, { slot, bytes });
			this.#add(slot, bytes);
		}
	}

	#add(slot: number, bytes: number): void {
		for (let i = slot; i <= slots; i += i & -i) this.#tree[i] = (this.#tree[i] ?? 0) + bytes;
	}

	#sumTo(slot: number): number {
		let sum = 0;
		for (let i = slot; i > 0; i -= i & -i) sum += this.#tree[i] ?? 0;
		return sum;
	}
}

/** In the map, with its two numbers. */
const trackedNameBytes = 100;

/** So that they are numbered anew once in many reads. */
const slots = 4 * limits.cacheReuseNames;

/** Where a distance is among the counts; the fraction says where in one of them. */
function positionOf(bytes: number): number {
	return Math.max(0, perOctave * Math.log2(bytes / smallestBytes));
}

function sumOf(counts: Float64Array): number {
	return counts.reduce((sum, count) => sum + count, 0);
}

function ratio(part: number, whole: number): number {
	return whole === 0 ? 0 : Math.min(1, part / whole);
}
