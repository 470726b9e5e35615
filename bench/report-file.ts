import { constants } from "node:fs";
import { access, mkdir, open, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { codeOf, inOneLine, Problem } from "../local/problem.ts";

/** Before the measuring, for what takes minutes is not to be lost in the end. @throws Problem */
export async function checkWritable(file: string): Promise<void> {
	const folder = dirname(file);
	try {
		await mkdir(folder, { recursive: true });
		await access(folder, constants.W_OK);
		const found = await open(file, "r+").catch((error) => {
			if (codeOf(error) !== "ENOENT") throw error;
		});
		await found?.close();
	} catch (error) {
		throw notWritten(file, error);
	}
}

/** @throws Problem */
export async function writeReport(file: string, report: unknown): Promise<void> {
	try {
		await writeFile(file, `${JSON.stringify(report, null, "\t")}\n`);
	} catch (error) {
		throw notWritten(file, error);
	}
}

function notWritten(file: string, error: unknown): Problem {
	return new Problem(`${file} can not be written: ${inOneLine(error)}`, { cause: error });
}
