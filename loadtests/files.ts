import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inOneLine, Problem } from "../local/problem.ts";
import type { LoadResult } from "./results.ts";

const defaultFolder = join(import.meta.dirname, "results");

/** Writes files of one name and other endings; their paths. */
export async function writeResults(
	folder: string | undefined,
	name: string,
	contents: Readonly<Record<string, string>>,
): Promise<string[]> {
	const place = folder ?? defaultFolder;
	try {
		await mkdir(place, { recursive: true });
		return await Promise.all(
			Object.entries(contents).map(async ([ending, text]) => {
				const path = join(place, `${name}.${ending}`);
				await writeFile(path, text);
				return path;
			}),
		);
	} catch (error) {
		throw new Problem(`the results can not be written: ${inOneLine(error)}`, { cause: error });
	}
}

/** @throws Problem when the file is not there, or is not of a load test of this version */
export async function readResult(path: string): Promise<LoadResult> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		throw new Problem(`${path} can not be read: ${inOneLine(error)}`, { cause: error });
	}
	const found = parse(text);
	if (!isResult(found)) throw new Problem(`${path} is not the JSON of a load test`);
	return found;
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

function isResult(value: unknown): value is LoadResult {
	return (
		typeof value === "object" &&
		value !== null &&
		"version" in value &&
		value.version === 1 &&
		"overall" in value &&
		"series" in value
	);
}

/** A file's name with the time in it: `steady-20260131-120000`. */
export function nameOf({ scenario, at }: Pick<LoadResult, "scenario" | "at">): string {
	return `${scenario}-${at.slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-")}`;
}
