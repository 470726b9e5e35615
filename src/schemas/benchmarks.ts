import * as z from "zod";
import { figureNames, figures, parts } from "../benchmark/figures.ts";
import { cursor, id, nextCursor, pageSize, timestamp } from "./fields.ts";

export const listBenchmarksQuery = z.strictObject({
	limit: pageSize.optional(),
	cursor: cursor.optional(),
});

export const listAlertsQuery = z.strictObject({
	open: z
		.enum(["true", "false"])
		.transform((value) => value === "true")
		.optional()
		.meta({ description: "`true`: only alerts whose condition lasts." }),
	limit: pageSize.optional(),
	cursor: cursor.optional(),
});

const figureName = z.enum(figureNames);

const run = z
	.object({
		id: id.meta({ description: "A UUID of version 7." }),
		at: timestamp,
		origin: z
			.enum(["schedule", "request"])
			.meta({ description: "Whether its interval was over, or an admin asked for it." }),
		figures,
		unreachable: z
			.array(z.string())
			.meta({ description: "Figures that are null because nobody answered." }),
	})
	.meta({ id: "BenchmarkRun" });

const level = z.number().nullable();

const trend = z
	.object({
		figure: figureName,
		runs: z.int().meta({ description: "How many of the newest runs have the figure." }),
		latest: level,
		median: level,
		least: level,
		most: level,
		changes: z
			.array(
				z.object({
					run: id.meta({ description: "The first run on the new level." }),
					at: timestamp,
					before: z.number().meta({ description: "The mean from the change before on." }),
					after: z.number().meta({ description: "The mean from here on." }),
					isWorse: z.boolean(),
				}),
			)
			.meta({ description: "Where its level changed (E-divisive with a t-test), oldest first." }),
	})
	.meta({ id: "BenchmarkTrend" });

const alert = z
	.object({
		id,
		rule: z.string().meta({
			description:
				"A threshold of the configuration, `regression` for a change against the history, or `unreachable`.",
			example: "max_response_time_ms",
		}),
		subject: z
			.string()
			.meta({ description: "The figure that broke it.", example: "responseMs.getKey" }),
		value: level,
		threshold: level.meta({
			description: "What the value crossed; with `regression`, the old level.",
		}),
		bottleneck: z
			.enum([...parts, "worker"])
			.nullable()
			.meta({ description: "The part whose time rose most: where to look first." }),
		advice: z.string(),
		raisedAt: timestamp,
		resolvedAt: timestamp.nullable().meta({ description: "null while the condition lasts." }),
	})
	.meta({ id: "BenchmarkAlert" });

export const runPage = z
	.object({
		runs: z.array(run),
		trends: z.array(trend).meta({ description: "Over the newest 100 runs, whatever the page is." }),
		nextCursor,
	})
	.meta({ id: "BenchmarkPage" });

export const runReport = z
	.object({ run, alerts: z.array(alert).meta({ description: "Those that are open now." }) })
	.meta({ id: "BenchmarkReport" });

export const alertPage = z.object({ alerts: z.array(alert), nextCursor }).meta({
	id: "BenchmarkAlertPage",
});
