import * as z from "zod/mini";
import { meta } from "../lib/zod.ts";

/** The routes whose time is taken, by their operationId. */
export const measuredRoutes = ["sign", "verify", "getKey", "getJwks"] as const;
export type MeasuredRoute = (typeof measuredRoutes)[number];

/** What the service stands on, and asks over the network. */
export const parts = ["postgres", "redis", "durableObject"] as const;
export type Part = (typeof parts)[number];

/** null where nothing was measured: it did not answer, or there was no time left. */
const figure = z._default(z.nullable(z.number()), null);

/** What one run found. Stored as it is, so a field may be added and none renamed. */
export const figures = meta(
	z.object({
		responseMs: meta(
			z.prefault(z.object({ sign: figure, verify: figure, getKey: figure, getJwks: figure }), {}),
			{ description: "Milliseconds for a request of the route, one after the other." },
		),
		partsMs: meta(
			z.prefault(z.object({ postgres: figure, redis: figure, durableObject: figure }), {}),
			{ description: "Milliseconds for a question to what the service stands on." },
		),
		throughputRps: meta(figure, {
			description: "Requests a second that one isolate answers, of the route `verify`.",
		}),
		memoryMb: meta(figure, { description: "MiB that the isolate's caches hold, as they count." }),
	}),
	{ id: "BenchmarkFigures" },
);
export type Figures = z.infer<typeof figures>;

export interface Measurement {
	readonly figures: Figures;
	/** The names of the figures that are missing because nobody answered. */
	readonly unreachable: readonly FigureName[];
}

export const figureNames = [
	...measuredRoutes.map((route) => `responseMs.${route}` as const),
	...parts.map((part) => `partsMs.${part}` as const),
	"throughputRps",
	"memoryMb",
] as const;
export type FigureName = (typeof figureNames)[number];

export function figureOf({ responseMs, partsMs, ...others }: Figures, name: FigureName) {
	if (name === "throughputRps" || name === "memoryMb") return others[name];
	const [group, member] = name.split(".") as [string, MeasuredRoute & Part];
	return group === "responseMs" ? responseMs[member] : partsMs[member];
}

/** Whether more is better: of all the others less is. */
export function isRate(name: FigureName): boolean {
	return name === "throughputRps";
}

/** null of none. */
export function median(values: readonly number[]): number | null {
	if (values.length === 0) return null;
	const sorted = [...values].sort((a, b) => a - b);
	const middle = sorted.length >> 1;
	const [low = 0, high = 0] = [sorted[(sorted.length - 1) >> 1], sorted[middle]];
	return (low + high) / 2;
}
