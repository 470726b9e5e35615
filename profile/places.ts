import { readFile } from "node:fs/promises";
import { SourceMap, type SourceMapping } from "node:module";
import { basename, dirname, relative, resolve } from "node:path";
import type { ProfileNode } from "../local/inspector.ts";
import type { Place } from "./tree.ts";

const root = resolve(import.meta.dirname, "..");

/** Finds the sources of what a profile names, by the source map that stands beside the bundle. */
export async function readPlaces(bundlePath: string): Promise<(node: ProfileNode) => Place> {
	const mapPath = `${bundlePath}.map`;
	const map = new SourceMap(JSON.parse(await readFile(mapPath, "utf8")));
	return ({ callFrame: { functionName, url, lineNumber, columnNumber } }) => {
		const name = functionName || "(anonymous)";
		if (url === "" || lineNumber < 0) return { name, file: "", line: 0 };
		// The runtime brings scripts of its own: node-internal:crypto_hash, ...
		if (url !== basename(bundlePath)) return { name, file: url, line: lineNumber + 1 };
		const entry: Partial<SourceMapping> & { name?: string } = map.findEntry(
			lineNumber,
			columnNumber,
		);
		const { originalSource, originalLine = 0 } = entry;
		if (originalSource === undefined) return { name, file: url, line: lineNumber + 1 };
		const file = toFile(resolve(dirname(mapPath), originalSource));
		return { name: originalName(name, entry.name), file, line: originalLine + 1 };
	};
}

/** From the root of the project, and of a package from its name. */
function toFile(path: string): string {
	const [, inPackage] = /.*\/node_modules\/(.*)$/.exec(path) ?? [];
	return inPackage ?? relative(root, path);
}

/** The bundler tells functions of one name apart by a number, and the map has the name: `sign2`. */
function originalName(name: string, mapped: string | undefined): string {
	const without = name.replace(/\d+$/, "");
	return mapped === without ? mapped : name;
}
