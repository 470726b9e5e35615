import { z } from "zod";
import type { LoadResult } from "./results.ts";

const number = z.number();
const text = z.string();
const texts = z.array(text);
const dimension = z.enum(["time", "share", "rate", "number"]);
const percentiles = z.object({ p50: number, p95: number, p99: number });

const summary = z.object({
	...{ seconds: number, offered: number, right: number, errors: number, dropped: number },
	rate: number,
	latency: z.nullable(percentiles.extend({ mean: number, p90: number, p999: number, max: number })),
	outcomes: z.record(text, number),
});

/** What a file has that a report can be made of. */
export const resultSchema: z.ZodType<LoadResult> = z.object({
	version: z.literal(1),
	...{ scenario: text, summary: text, at: z.iso.datetime(), command: text },
	machine: z.object({
		...{ processor: text, cores: number, memoryGiB: number, system: text, node: text },
		loadBefore: number,
	}),
	target: z.object({ url: text, isOwnStack: z.boolean() }),
	sizes: z.object({ rate: number, seconds: number, users: number }),
	seed: number,
	overall: summary,
	kinds: z.array(summary.extend({ name: text, hostile: z.boolean(), expects: z.array(number) })),
	phases: z.array(
		z.object({ name: text, from: number, to: number, measured: z.boolean(), summary }),
	),
	series: z.array(
		z.object({
			...{ seconds: number, offered: number, rate: number, errors: number, dropped: number },
			...{ hostile: number, latency: z.nullable(percentiles), lagMs: z.nullable(number) },
		}),
	),
	marks: z.array(z.object({ seconds: number, text })),
	errors: z.array(z.object({ kind: text, what: text, count: number })),
	spectrum: z.array(z.tuple([number, number])),
	generator: z.object({
		lagMs: z.nullable(z.object({ p50: number, p99: number, max: number })),
		cpu: z.object({ mean: number, max: number }),
		...{ connectionsMax: number, waitingMax: number, warnings: texts },
	}),
	server: z.array(z.object({ seconds: number, cpu: number, memoryMiB: number })),
	figures: z.array(z.object({ name: text, value: z.nullable(number), dimension, text })),
	thresholds: z.array(
		z.object({
			...{ text, value: z.nullable(number), shown: text },
			...{ holds: z.boolean(), decides: z.boolean() },
		}),
	),
	passed: z.boolean(),
});
