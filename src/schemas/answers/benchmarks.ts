import * as z from "zod/mini";
import { figureNames, figures, parts } from "../../benchmark/figures.ts";
import { meta } from "../../lib/zod.ts";
import { id, nextCursor, timestamp } from "../fields.ts";

const figureName = z.enum(figureNames);

const run = meta(
	z.object({
		id: meta(id, { description: "A UUID of version 7." }),
		at: timestamp,
		origin: meta(z.enum(["schedule", "request"]), {
			description: "Whether its interval was over, or an admin asked for it.",
		}),
		figures,
		unreachable: meta(z.array(z.string()), {
			description: "Figures that are null because nobody answered.",
		}),
	}),
	{ id: "BenchmarkRun" },
);

const level = z.nullable(z.number());

const trend = meta(
	z.object({
		figure: figureName,
		runs: meta(z.int(), { description: "How many of the newest runs have the figure." }),
		latest: level,
		median: level,
		least: level,
		most: level,
		changes: meta(
			z.array(
				z.object({
					run: meta(id, { description: "The first run on the new level." }),
					at: timestamp,
					before: meta(z.number(), { description: "The mean from the change before on." }),
					after: meta(z.number(), { description: "The mean from here on." }),
					isWorse: z.boolean(),
				}),
			),
			{ description: "Where its level changed (E-divisive with a t-test), oldest first." },
		),
	}),
	{ id: "BenchmarkTrend" },
);

const alert = meta(
	z.object({
		id,
		rule: meta(z.string(), {
			description:
				"A threshold of the configuration, `regression` for a change against the history, or `unreachable`.",
			example: "max_response_time_ms",
		}),
		subject: meta(z.string(), {
			description: "The figure that broke it.",
			example: "responseMs.getKey",
		}),
		value: level,
		threshold: meta(level, {
			description: "What the value crossed; with `regression`, the old level.",
		}),
		bottleneck: meta(z.nullable(z.enum([...parts, "worker"])), {
			description: "The part whose time rose most: where to look first.",
		}),
		advice: z.string(),
		raisedAt: timestamp,
		resolvedAt: meta(z.nullable(timestamp), { description: "null while the condition lasts." }),
	}),
	{ id: "BenchmarkAlert" },
);

export const runPage = meta(
	z.object({
		runs: z.array(run),
		trends: meta(z.array(trend), {
			description: "Over the newest 100 runs, whatever the page is.",
		}),
		nextCursor,
	}),
	{ id: "BenchmarkPage" },
);

export const runReport = meta(
	z.object({ run, alerts: meta(z.array(alert), { description: "Those that are open now." }) }),
	{ id: "BenchmarkReport" },
);

export const alertPage = meta(z.object({ alerts: z.array(alert), nextCursor }), {
	id: "BenchmarkAlertPage",
});
