import type { ServerSample } from "../processes.ts";
import type { Running, Scenario } from "../scenario.ts";
import type { Interval } from "../timeline.ts";
import { everyday, prepareEveryday } from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

const hourSeconds = 3600;

export const soak: Scenario = {
	name: "soak",
	summary: "everyday traffic for an hour: does it get slower, or larger?",
	sizes: { rate: 150, seconds: hourSeconds, users: 0 },
	figures: { drift: "share", growth: "number" },
	thresholds: ["p95<50ms", "errors<0.1%", "dropped<0.1%", "drift<20%"],
	phases: ["soak"],
	prepare: prepareEveryday,
	async run(running) {
		const { rate, seconds } = running.sizes;
		const [, soaked] = await running.load([
			warmUp(rate, everyday),
			{ name: "soak", seconds, loads: [{ rate, mix: everyday }] },
		]);
		if (!soaked) return;
		running.figure({
			name: "drift",
			value: driftOf(running, soaked),
			dimension: "share",
			text: "by how much the p95 of the last quarter is above that of the first",
		});
		const growth = growthOf(running.server(), soaked);
		if (growth === null) return;
		running.figure({
			name: "growth",
			value: (growth / soaked.summary.offered) * 10_000,
			dimension: "number",
			text: "MiB of workerd's resident memory for each 10,000 requests, a line through the second half",
		});
	},
};

function driftOf({ summary }: Running, { from, to }: Interval): number {
	const quarter = (to - from) / 4;
	const p95 = (interval: Interval) => summary(interval).latency?.p95 ?? Number.NaN;
	return p95({ from: to - quarter, to }) / p95({ from, to: from + quarter }) - 1;
}

/** MiB in the whole interval, by the slope of its second half; null where the memory is not known. */
function growthOf(all: readonly ServerSample[], { from, to }: Interval): number | null {
	const middle = (from + to) / 2000;
	const samples = all.filter(({ seconds }) => seconds >= middle && seconds <= to / 1000);
	if (samples.length < 2) return null;
	const mean = (of: (sample: ServerSample) => number) =>
		samples.reduce((sum, sample) => sum + of(sample), 0) / samples.length;
	const [x, y] = [mean(({ seconds }) => seconds), mean(({ memoryMiB }) => memoryMiB)];
	const covariance = mean(({ seconds, memoryMiB }) => (seconds - x) * (memoryMiB - y));
	const slope = covariance / mean(({ seconds }) => (seconds - x) ** 2);
	return (slope * (to - from)) / 1000;
}
