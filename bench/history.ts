import { appendFile, mkdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { codeOf, Problem } from "../local/problem.ts";
import type { Report } from "./figures.ts";
import { commitOf, isChanged } from "./revision.ts";

/** Kept in git: a line of JSON for each run, oldest first. */
export const defaultHistory = join(import.meta.dirname, "history", "runs.jsonl");

const runSchema = z.object({
	version: z.literal(1),
	at: z.iso.datetime(),
	commit: z.string().regex(/^[0-9a-f]{40}$/),
	/** Whether files differed from the commit. */
	changed: z.boolean(),
	machine: z.object({
		processor: z.string(),
		cores: z.number(),
		memoryGiB: z.number(),
		system: z.string(),
		node: z.string(),
		loadBefore: z.number(),
	}),
	figures: z.record(
		z.string(),
		z.object({
			unit: z.string(),
			value: z.number(),
			/** To what ran in turn with it. */
			ratio: z.number().optional(),
		}),
	),
});

export type RecordedRun = z.infer<typeof runSchema>;

/** @throws Problem where git does not know what was measured */
export async function runOf({ at, machine, figures }: Report): Promise<RecordedRun> {
	const lines = figures.map(({ id, unit, value, beside }) => {
		const ratio = beside && { ratio: significant(beside.ratio.median) };
		return [id, { unit, value: significant(value), ...ratio }] as const;
	});
	return {
		version: 1,
		at,
		commit: await commitOf("HEAD"),
		changed: await isChanged(),
		machine,
		figures: Object.fromEntries(lines),
	};
}

/** More digits are noise, and a file that git keeps. */
function significant(value: number): number {
	return Number(value.toPrecision(6));
}

export async function appendRun(file: string, run: RecordedRun): Promise<void> {
	await mkdir(dirname(file), { recursive: true });
	const before = (await readIfThere(file)) ?? "";
	// A line that was cut off does not take this one with it.
	const apart = before === "" || before.endsWith("\n") ? "" : "\n";
	await appendFile(file, `${apart}${JSON.stringify(run)}\n`);
}

/** Oldest first. @throws Problem that names the line which is no run */
export async function readHistory(file: string): Promise<RecordedRun[]> {
	const text = await readIfThere(file);
	if (text === null) throw new Problem("no run is recorded yet: npm run bench -- --record does");
	const runs = text.split("\n").flatMap((line, index) => {
		if (line === "") return [];
		const run = runSchema.safeParse(parseJson(line));
		if (run.success) return [run.data];
		throw new Problem(`${file}:${index + 1} is no recorded run: ${z.prettifyError(run.error)}`);
	});
	return runs.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
}

async function readIfThere(file: string): Promise<string | null> {
	try {
		return await readFile(file, "utf8");
	} catch (error) {
		if (codeOf(error) !== "ENOENT") throw error;
		return null;
	}
}

function parseJson(line: string): unknown {
	try {
		return JSON.parse(line);
	} catch {
		return undefined;
	}
}
