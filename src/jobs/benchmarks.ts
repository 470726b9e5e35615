import { type RunServices, runDue } from "../benchmark/runs.ts";

/** Measures the service for the tenants whose benchmarks are due; how many. */
export async function runBenchmarks(services: RunServices): Promise<number> {
	return runDue(services);
}
