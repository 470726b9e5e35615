import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inOneLine, Problem } from "../local/problem.ts";
import { resultSchema } from "./result-schema.ts";
import type { LoadResult } from "./results.ts";

const defaultFolder = join(import.meta.dirname, "results");

/** Before the load: what a run found is not to be lost in the end. @throws Problem */
export async function makeFolder(folder: string | undefined): Promise<void> {
	try {
		await mkdir(folder ?? defaultFolder, { recursive: true });
	} catch (error) {
		throw notWritten(error);
	}
}

/** Writes files of one name and other endings; their paths. */
export async function writeResults(
	folder: string | undefined,
	name: string,
	contents: Readonly<Record<string, string>>,
): Promise<string[]> {
	const place = folder ?? defaultFolder;
	await makeFolder(place);
	try {
		return await Promise.all(
			Object.entries(contents).map(async ([ending, text]) => {
				const path = join(place, `${name}.${ending}`);
				await writeFile(path, text);
				return path;
			}),
		);
	} catch (error) {
		throw notWritten(error);
	}
}

function notWritten(error: unknown): Problem {
	return new Problem(`the results can not be written: ${inOneLine(error)}`, { cause: error });
}

/** @throws Problem when the file is not there, or is not of a load test of this version */
export async function readResult(path: string): Promise<LoadResult> {
	let text: string;
	try {
		text = await readFile(path, "utf8");
	} catch (error) {
		throw new Problem(`${path} can not be read: ${inOneLine(error)}`, { cause: error });
	}
	const found = resultSchema.safeParse(parse(text));
	if (found.success) return found.data;
	const { message = "", path: at = [] } = found.error.issues[0] ?? {};
	throw new Problem(`${path} is not the JSON of a load test: ${at.join(".")}: ${message}`);
}

function parse(text: string): unknown {
	try {
		return JSON.parse(text);
	} catch {
		return null;
	}
}

/** A file's name with the time in it: `steady-20260131-120000`. */
export function nameOf({ scenario, at }: Pick<LoadResult, "scenario" | "at">): string {
	return `${scenario}-${at.slice(0, 19).replaceAll(/[-:]/g, "").replace("T", "-")}`;
}
