/**
 * The architecture check: what may import what, no cycles, time and randomness from one place,
 * functions and files that fit a screen. Run: `node scripts/check-architecture.ts [folder]`.
 */
import { existsSync, globSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { findFunctions, findImports, type Import, lineAt, maskSource } from "./source-text.ts";

/** The capabilities, one folder each. They may import each other as long as no cycle comes of it. */
const domains = [
	"audit",
	"auth",
	"benchmark",
	"cache",
	"config",
	"coordination",
	"db",
	"idempotency",
	"jobs",
	"observe",
	"ratelimit",
	"signing",
];

/** What every layer stands on. `env` is here for its type: only index, app and services read it. */
const base = ["env", "errors", "lib", "limits", "model"];

/**
 * What each layer may import. A layer is a folder or a file directly under src/, or durable-objects/.
 * Imports run one way: index -> app -> routes -> services -> domains -> base.
 */
const layers: Readonly<Record<string, readonly string[]>> = {
	index: ["app", "durable-objects", "services", ...domains, ...base],
	archive: [...domains, ...base],
	app: ["routes", "schemas", "services", ...domains, ...base],
	routes: ["routes", "schemas", "services", ...domains, ...base],
	schemas: ["schemas", ...domains, ...base],
	services: [...domains, ...base],
	"durable-objects": ["durable-objects", ...domains, ...base],
	...Object.fromEntries(domains.map((domain) => [domain, [...domains, ...base]])),
	env: ["errors", "lib", "limits", "model"],
	errors: ["lib", "limits", "model"],
	model: ["lib", "limits"],
	limits: ["lib", "limits"],
	lib: ["lib"],
};

/** Packages that only some layers may import; any other package is free to all. */
const packageLayers: Readonly<Record<string, readonly string[]>> = {
	hono: ["index", "app", "routes"],
};

/** What the worker that answers requests is without: it is the archive's, whose entry is src/archive.ts. */
const archiveOnly = {
	entry: "src/index.ts",
	packages: ["hyparquet", "hyparquet-writer"],
	/** The bucket, and by it all that reads and writes there. */
	file: "src/audit/archive-bucket.ts",
};

/** Reads of the surroundings that have one home each, so that a test can put its own in their place. */
const ambient = [
	{
		pattern: /\bDate\.now\b|\bperformance\.now\b|\bnew\s+Date\b\s*(?:\(\s*\)|(?!\s*\())/g,
		home: "src/lib/clock.ts",
		mend: "take a Clock as a parameter",
	},
	{
		pattern: /\bMath\.random\b|\bgetRandomValues\b|\brandomUUID\b/g,
		home: "src/lib/random.ts",
		mend: "take a Random as a parameter",
	},
];

const functionLinesMax = 70;
const fileLinesMax = 400;

export interface Finding {
	readonly file: string;
	readonly line: number;
	readonly rule:
		| "layer"
		| "package"
		| "cycle"
		| "archive"
		| "ambient"
		| "late"
		| "length"
		| "syntax";
	/** What is wrong, and how to mend it. */
	readonly message: string;
}

interface Source {
	/** Relative to the checked folder, with slashes. */
	readonly file: string;
	readonly text: string;
	readonly masked: string;
	readonly imports: readonly Import[];
}

/** Checks the tree under `root`: src/, durable-objects/, openapi/, local/ and scripts/, as far as they exist. */
export function checkArchitecture(root: string): { files: number; findings: Finding[] } {
	const sources = readSources(root);
	const service = sources.filter(({ file }) => /^(src|durable-objects)\//.test(file));
	const findings = [
		...service.flatMap(checkLayers),
		...service.flatMap(checkPackages),
		...checkArchiveOnly(service),
		...service.flatMap(checkAmbient),
		...service.flatMap(checkLate),
		...checkFileCycles(sources),
		...checkFolderCycles(service),
		...sources.flatMap(checkLengths),
	];
	findings.sort((a, b) => a.file.localeCompare(b.file) || a.line - b.line);
	return { files: sources.length, findings };
}

function readSources(root: string): Source[] {
	const folders = ["src", "durable-objects", "openapi", "local", "scripts"];
	const files = folders.flatMap((folder) => globSync(`${folder}/**/*.{ts,mjs}`, { cwd: root }));
	return files.sort().map((path) => {
		const file = path.replaceAll("\\", "/");
		const text = readFileSync(join(root, path), "utf8");
		const masked = maskSource(text);
		return { file, text, masked, imports: findImports(text, masked) };
	});
}

/** The file that a relative import names, relative to the root; null for a package. */
function target(source: Source, { specifier }: Import): string | null {
	if (!specifier.startsWith(".")) return null;
	return posix.join(posix.dirname(source.file), specifier);
}

/** The layer of a file, or null for one that is in none: outside of the service, or in a new folder. */
function layerOf(file: string): string | null {
	const [top, second] = file.split("/");
	const name = top === "src" ? second?.replace(/\.ts$/, "") : top;
	return name !== undefined && Object.hasOwn(layers, name) ? name : null;
}

function checkLayers(source: Source): Finding[] {
	const layer = layerOf(source.file);
	if (layer === null) {
		const message = "is in no layer. Add its folder to the table in scripts/check-architecture.ts";
		return [{ file: source.file, line: 1, rule: "layer", message }];
	}
	const allowed = layers[layer] ?? [];
	return source.imports.flatMap((imported): Finding[] => {
		const file = target(source, imported);
		if (file === null) return [];
		const other = layerOf(file);
		if (other !== null && allowed.includes(other)) return [];
		const message =
			other === null
				? `${layer} may not import ${file}, which is in no layer. Import only from src/ and durable-objects/`
				: `${layer} may not import ${other} (${file}), only: ${allowed.join(", ")}. Move what both need to a layer below, or pass it in as a parameter`;
		return [{ file: source.file, line: imported.line, rule: "layer", message }];
	});
}

function checkPackages(source: Source): Finding[] {
	const layer = layerOf(source.file);
	return source.imports.flatMap(({ specifier, line }): Finding[] => {
		const name = specifier.split("/")[0] ?? "";
		const allowed = Object.hasOwn(packageLayers, name) ? packageLayers[name] : undefined;
		if (!allowed || layer === null || allowed.includes(layer)) return [];
		const message = `${layer} may not import ${specifier}, only ${allowed.join(", ")} may. Return a result, and let a route turn it into a response`;
		return [{ file: source.file, line, rule: "package", message }];
	});
}

/** Nothing that the service's entry reaches, for a value or for a type, imports what only the archive has. */
function checkArchiveOnly(service: readonly Source[]): Finding[] {
	const { entry, packages, file: bucket } = archiveOnly;
	const sources = new Map(service.map((source) => [source.file, source]));
	const reached = new Set([entry]);
	const findings: Finding[] = [];
	for (const file of reached) {
		const source = sources.get(file);
		for (const imported of source?.imports ?? []) {
			const to = source ? target(source, imported) : null;
			const { specifier, line } = imported;
			const isPackage = packages.some((name) => `${specifier}/`.startsWith(`${name}/`));
			if (isPackage || to === bucket) {
				const message = `${entry} reaches ${specifier} by this, which only the archive's worker has. Ask that one, by src/audit/cold.ts`;
				findings.push({ file, line, rule: "archive", message });
			} else if (to !== null) reached.add(to);
		}
	}
	return findings;
}

function checkAmbient(source: Source): Finding[] {
	return ambient.flatMap(({ pattern, home, mend }) => {
		if (source.file === home) return [];
		return Array.from(source.masked.matchAll(pattern), (match): Finding => {
			const line = lineAt(source.masked, match.index);
			const message = `${match[0].replace(/\s+/g, " ")} belongs in ${home} alone. Instead, ${mend}`;
			return { file: source.file, line, rule: "ambient", message };
		});
	});
}

/** noble looks once, when it is loaded, whether there is randomness; a Worker has none before its first request. */
const lateModule = /^src\/signing\/noble-\w+\.ts$/;

/** @noble/curves only in its own modules, and those only by import() inside a request, or for a type. */
function checkLate(source: Source): Finding[] {
	const { file } = source;
	return source.imports.flatMap((found): Finding[] => {
		const text = source.text.split("\n")[found.line - 1] ?? "";
		if (/\bimport\s*\(|^\s*import\s+type\b/.test(text)) return [];
		const isNoble = found.specifier.startsWith("@noble/curves") && !lateModule.test(file);
		const isLate = lateModule.test(target(source, found) ?? "");
		if (!isNoble && !isLate) return [];
		const message = `${found.specifier} is loaded before the first request, where noble finds no randomness to blind with. Use import() inside a function, of a src/signing/noble-*.ts`;
		return [{ file, line: found.line, rule: "late", message }];
	});
}

/** Node -> the nodes it imports, each with the place of the first import that says so. */
type Graph = Map<string, Map<string, { file: string; line: number }>>;

/** Type-only imports count too: a cycle of types is a cycle to the reader. */
function graphOf(sources: readonly Source[], nodeOf: (file: string) => string | null): Graph {
	const graph: Graph = new Map();
	for (const source of sources) {
		const from = nodeOf(source.file);
		if (from === null) continue;
		const edges = graph.get(from) ?? new Map<string, { file: string; line: number }>();
		graph.set(from, edges);
		for (const imported of source.imports) {
			const file = target(source, imported);
			const to = file === null ? null : nodeOf(file);
			if (to === null || edges.has(to)) continue;
			edges.set(to, { file: source.file, line: imported.line });
		}
	}
	return graph;
}

/** One shortest cycle through each node that is in any, but none twice. */
function findCycles(graph: Graph): string[][] {
	const seen = new Set<string>();
	const cycles: string[][] = [];
	for (const start of graph.keys()) {
		if (seen.has(start)) continue;
		const cycle = shortestPathBack(graph, start);
		if (!cycle) continue;
		for (const node of cycle) seen.add(node);
		cycles.push(cycle);
	}
	return cycles;
}

/** Breadth first from `start` back to itself: the nodes on the way, or null when no way leads back. */
function shortestPathBack(graph: Graph, start: string): string[] | null {
	const reachedFrom = new Map<string, string>();
	const queue = [start];
	for (const node of queue) {
		for (const next of graph.get(node)?.keys() ?? []) {
			if (next === start) {
				const path = [node];
				for (let at = node; at !== start; ) {
					at = reachedFrom.get(at) ?? start;
					path.unshift(at);
				}
				return path;
			}
			if (reachedFrom.has(next)) continue;
			reachedFrom.set(next, node);
			queue.push(next);
		}
	}
	return null;
}

function checkFileCycles(sources: readonly Source[]): Finding[] {
	const graph = graphOf(sources, (file) => file);
	return findCycles(graph).map((cycle) => {
		const first = cycle[0] ?? "";
		const line = graph.get(first)?.get(cycle[1] ?? first)?.line ?? 1;
		const way = [...cycle, first].join(" -> ");
		const message = `the imports run in a circle: ${way}. Move what they share to a file of its own below them`;
		return { file: first, line, rule: "cycle", message };
	});
}

function checkFolderCycles(service: readonly Source[]): Finding[] {
	const graph = graphOf(service, (file) => {
		const layer = layerOf(file);
		return layer !== null && domains.includes(layer) ? layer : null;
	});
	for (const [folder, edges] of graph) edges.delete(folder);
	return findCycles(graph).map((cycle) => {
		const places = cycle.map((folder, at) => {
			const next = cycle[(at + 1) % cycle.length] ?? folder;
			return graph.get(folder)?.get(next) ?? { file: `src/${folder}`, line: 1 };
		});
		const way = [...cycle, cycle[0]].join(" -> ");
		const where = places.map(({ file, line }) => `${file}:${line}`).join(", ");
		const message = `the folders import each other in a circle: ${way} (${where}). Move what they share below them, types to src/model.ts`;
		return { ...(places[0] ?? { file: "src", line: 1 }), rule: "cycle", message };
	});
}

function checkLengths({ file, text }: Source): Finding[] {
	const findings: Finding[] = [];
	const lines = text.trimEnd().split("\n").length;
	if (lines > fileLinesMax) {
		const message = `the file has ${lines} lines, more than ${fileLinesMax}. Split it by what its parts are about`;
		findings.push({ file, line: 1, rule: "length", message });
	}
	try {
		for (const { line, head, ownLines } of findFunctions(text)) {
			if (ownLines <= functionLinesMax) continue;
			const message = `the function has ${ownLines} lines of its own, more than ${functionLinesMax}: ${head}. Give its steps names, and call them`;
			findings.push({ file, line, rule: "length", message });
		}
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
		const message = `Node can not take its types away: ${error.message}. Use erasable syntax only`;
		findings.push({ file, line: 1, rule: "syntax", message });
	}
	return findings;
}

if (import.meta.main) {
	const root = process.argv[2] ?? join(import.meta.dirname, "..");
	if (!existsSync(join(root, "src"))) {
		console.error(`check-architecture: there is no src folder in ${root}`);
		process.exit(2);
	}
	const { files, findings } = checkArchitecture(root);
	for (const { file, line, rule, message } of findings) {
		console.log(`${file}:${line} ${rule}: ${message}`);
	}
	console.log(`${files} files, ${findings.length} findings`);
	process.exitCode = findings.length === 0 ? 0 : 1;
}
