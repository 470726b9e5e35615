import { answered } from "../lib/within.ts";
import * as limits from "../limits.ts";
import type { Measurement } from "./figures.ts";

/** What the object offers by RPC (durable-objects/benchmark.ts). */
export interface BenchmarkRpc {
	/** Measures the service; whoever asks meanwhile gets the same measurement. */
	measure(): Promise<Measurement>;
}

/** The measurement as an isolate asks for it. */
export interface Benchmarks {
	/** @throws BenchmarkUnavailable */
	measure(): Promise<Measurement>;
}

/** The object did not answer, in time or at all. */
export class BenchmarkUnavailable extends Error {
	override readonly name = "BenchmarkUnavailable";
}

/**
 * One object for the whole service. It stands in one place, so that its figures can be compared with
 * those of yesterday, and two measurements never go on at the same time.
 */
export function createBenchmarks(namespace: DurableObjectNamespace): Benchmarks {
	return {
		measure() {
			// The binding does not know its class.
			const object = namespace.getByName("service") as unknown as BenchmarkRpc;
			return answered(object.measure(), limits.benchmarkTimeoutMs, BenchmarkUnavailable);
		},
	};
}
