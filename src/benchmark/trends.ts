import { changesOf, isWorse } from "./assess.ts";
import { type FigureName, figureNames, figureOf, median } from "./figures.ts";
import type { Run } from "./runs.ts";

/** How a figure has gone over the newest runs. */
export interface Trend {
	readonly figure: FigureName;
	/** How many runs have it. */
	readonly runs: number;
	readonly latest: number | null;
	readonly median: number | null;
	readonly least: number | null;
	readonly most: number | null;
	/** Where its level changed, oldest first. */
	readonly changes: readonly Change[];
}

export interface Change {
	/** The first run on the new level, and its time. */
	readonly run: string;
	readonly at: string;
	/** Means of the levels. */
	readonly before: number;
	readonly after: number;
	readonly isWorse: boolean;
}

/** @param runs oldest first */
export function trendsOf(runs: readonly Run[]): Trend[] {
	return figureNames.map((figure) => {
		const known = runs.flatMap((run) => {
			const value = figureOf(run.figures, figure);
			return value === null ? [] : [{ run, value }];
		});
		const values = known.map(({ value }) => value);
		const changes = changesOf(figure, values).flatMap((change): Change[] => {
			const at = known[change.index]?.run;
			if (!at) return [];
			const { before, after } = change;
			return [{ run: at.id, at: at.at, before, after, isWorse: isWorse(figure, change) }];
		});
		return {
			figure,
			runs: values.length,
			latest: values.at(-1) ?? null,
			median: median(values),
			least: values.length > 0 ? Math.min(...values) : null,
			most: values.length > 0 ? Math.max(...values) : null,
			changes,
		};
	});
}
