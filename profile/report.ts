import type { LoadResult } from "../loadtests/results.ts";
import type { HeapUsage } from "../local/inspector.ts";
import type { Capture } from "./capture.ts";
import { limits } from "./limits.ts";
import { timePhases } from "./phases.ts";
import { busyTime, type Heavy, heaviest, isFunction, type Place } from "./tree.ts";

/** What a profile says, for a program: the JSON file. */
export interface ProfileReport {
	/** Raised when a reader of older files would misread this one. */
	readonly version: 1;
	readonly scenario: string;
	/** When it began, ISO 8601. */
	readonly at: string;
	readonly command: string;
	readonly machine: LoadResult["machine"];
	readonly requests: number;
	/** Right answers per second; the profiler itself takes some of what there would be. */
	readonly perSecond: number;
	/** Of the isolate's thread, in microseconds. */
	readonly busyUs: number;
	readonly idleUs: number;
	readonly samples: number;
	readonly phases: readonly Cost[];
	readonly functions: readonly FunctionCost[];
	readonly heap: { readonly before: HeapUsage; readonly after: HeapUsage };
}

export interface Cost {
	readonly name: string;
	readonly usPerRequest: number;
	/** Of the time in which the thread was not idle. */
	readonly share: number;
	/** The functions that take most of it. */
	readonly mostly: readonly string[];
}

export interface FunctionCost extends Place {
	readonly self: Pick<Cost, "usPerRequest" | "share">;
	/** With what it calls. */
	readonly total: Pick<Cost, "usPerRequest" | "share">;
}

export function makeReport({ result, tree, requests, heap, profile }: Capture): ProfileReport {
	const busyUs = busyTime(tree);
	const cost = (us: number) => ({ usPerRequest: us / requests, share: us / busyUs });
	const { scenario, at, command, machine, overall } = result;
	return {
		version: 1,
		...{ scenario, at, command, machine, requests, heap },
		perSecond: overall.rate,
		busyUs,
		idleUs: tree.totalUs - busyUs,
		samples: profile.samples.length,
		phases: timePhases(tree).map(({ name, selfUs, functions }) => ({
			name,
			...cost(selfUs),
			mostly: mostOf(functions),
		})),
		functions: heaviest(tree)
			.filter(({ place }) => isFunction(place))
			.slice(0, limits.heaviestShown)
			.map(({ place, selfUs, totalUs }) => ({
				...place,
				self: cost(selfUs),
				total: cost(totalUs),
			})),
	};
}

/** The names of the functions that take most of a phase, each with its share of the phase. */
function mostOf(functions: readonly Heavy[]): string[] {
	const whole = functions.reduce((sum, { selfUs }) => sum + selfUs, 0);
	return functions
		.filter(({ place, selfUs }) => isFunction(place) && selfUs > 0)
		.slice(0, limits.heaviestOfPhaseShown)
		.map(({ place, selfUs }) => `${place.name} ${percent(selfUs / whole)}`);
}

/** The report for a person at a terminal. */
export function formatReport(report: ProfileReport): string {
	const { command, at, machine, requests, perSecond, busyUs, idleUs, samples, heap } = report;
	const busy = busyUs / (busyUs + idleUs);
	const mebibytes = ({ usedSize }: HeapUsage) => `${(usedSize / 2 ** 20).toFixed(2)} MiB`;
	return [
		`${command}   ${at}`,
		`${machine.processor}, ${machine.cores} cores, Node ${machine.node}, load before ${machine.loadBefore}`,
		`${requests.toLocaleString("en-US")} requests, ${Math.round(perSecond)} a second; ${samples} samples, thread busy ${percent(busy)}; heap ${mebibytes(heap.before)} before, ${mebibytes(heap.after)} after`,
		"",
		...columns([
			["phase", "µs a request", "share", "mostly"],
			...report.phases.map(({ name, usPerRequest, share, mostly }) => [
				...[name, usPerRequest.toFixed(2), percent(share), mostly.join(", ")],
			]),
		]),
		"",
		...columns([
			["function", "self µs", "share", "total µs", "share", "where"],
			...report.functions.map(({ name, self, total, ...place }) => [
				name,
				...[self, total].flatMap((cost) => [cost.usPerRequest.toFixed(2), percent(cost.share)]),
				whereOf(place),
			]),
		]),
	].join("\n");
}

export function whereOf({ file, line }: Omit<Place, "name">): string {
	return file === "" ? "the runtime" : `${file}:${line}`;
}

export function percent(share: number): string {
	return `${(100 * share).toFixed(1)}\u00a0%`;
}

function columns(rows: readonly (readonly string[])[]): string[] {
	const widths = (rows[0] ?? []).map((_, column) =>
		Math.max(...rows.map((row) => row[column]?.length ?? 0)),
	);
	const isNumber = (cell: string) => /^[\d.]+(\u00a0%)?$/.test(cell);
	return rows.map((row) =>
		row
			.map((cell, column) => {
				const width = widths[column] ?? 0;
				return isNumber(cell) ? cell.padStart(width) : cell.padEnd(width);
			})
			.join("  ")
			.trimEnd(),
	);
}
