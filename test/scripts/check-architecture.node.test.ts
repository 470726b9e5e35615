// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the planted sources hold templates

import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { checkArchitecture, type Finding } from "../../scripts/check-architecture.ts";

let root: string;

beforeEach(() => {
	root = mkdtempSync(join(tmpdir(), "architecture-"));
});

afterEach(() => {
	rmSync(root, { recursive: true });
});

/** Writes the files, checks the tree and answers its findings as `file:line rule`. */
function check(files: Record<string, string>): string[] {
	return findings(files).map(({ file, line, rule }) => `${file}:${line} ${rule}`);
}

function findings(files: Record<string, string>): Finding[] {
	plant(files);
	return checkArchitecture(root).findings;
}

function plant(files: Record<string, string>): void {
	for (const [file, text] of Object.entries(files)) {
		mkdirSync(dirname(join(root, file)), { recursive: true });
		writeFileSync(join(root, file), text);
	}
}

function lines(count: number, line: string): string {
	return `${line}\n`.repeat(count);
}

/** A small service that keeps every rule. */
const cleanTree = {
	"src/index.ts": `export { Log } from "../durable-objects/log.ts";\nexport { app } from "./app.ts";\n`,
	"src/app.ts": `import { Hono } from "hono";\nimport { keys } from "./routes/keys.ts";\nexport const app = new Hono().route("/", keys);\n`,
	"src/routes/keys.ts": `import { Hono } from "hono";\nimport { load } from "../services.ts";\nimport { body } from "../schemas/keys.ts";\nexport const keys = new Hono().get(body, load);\n`,
	"src/schemas/keys.ts": `import type { Name } from "../signing/sign.ts";\nexport const body: Name = "/";\n`,
	"src/services.ts": `import { find } from "./db/keys.ts";\nexport const load = () => find(0);\n`,
	"src/signing/sign.ts": `import { find } from "../db/keys.ts";\nexport type Name = string;\nexport const sign = () => find(1);\n`,
	"src/db/keys.ts": `import * as limits from "../limits.ts";\nexport const find = (id: number) => limits.keys + id;\n`,
	"src/limits.ts": "export const keys = 1;\n",
	"src/lib/clock.ts": "export const systemClock = () => Date.now();\n",
	"src/lib/random.ts": "export const random = () => crypto.getRandomValues(new Uint8Array(1));\n",
	"durable-objects/log.ts": `import { sign } from "../src/signing/sign.ts";\nexport class Log {\n\tadd = sign;\n}\n`,
	"local/start.ts": `import { app } from "../src/app.ts";\nexport const at = [Date.now(), app];\n`,
};

describe("what only the archive's worker has", () => {
	const archive = {
		...cleanTree,
		"src/archive.ts": `import { read } from "./audit/read.ts";\nexport default read;\n`,
		"src/audit/read.ts": `import { parquetRead } from "hyparquet";\nimport { get } from "./archive-bucket.ts";\nexport const read = () => parquetRead(get);\n`,
		"src/audit/archive-bucket.ts": "export const get = 1;\n",
	};

	it("is reached from its own entry", () => {
		expect(check(archive)).toEqual([]);
	});

	it("is not reached from the service's, not by a type either", () => {
		const sign = `import type { read } from "../audit/read.ts";\nexport type Name = typeof read;\nexport const sign = 1;\n`;
		expect(check({ ...archive, "src/signing/sign.ts": sign })).toEqual([
			"src/audit/read.ts:1 archive",
			"src/audit/read.ts:2 archive",
		]);
		const writer = `export { writeMetadata as Name } from "hyparquet-writer/src/metadata.js";\nexport const sign = 1;\n`;
		expect(check({ ...cleanTree, "src/signing/sign.ts": writer })).toEqual([
			"src/signing/sign.ts:1 archive",
		]);
	});
});

describe("the direction of imports", () => {
	it("passes a tree whose imports all run down", () => {
		expect(check(cleanTree)).toEqual([]);
	});

	it.each([
		["a domain that imports a route", "src/db/a.ts", `import { a } from "../routes/a.ts";`],
		["a domain that imports the services", "src/db/a.ts", `import { a } from "../services.ts";`],
		["a domain that imports a schema", "src/db/a.ts", `import { a } from "../schemas/a.ts";`],
		["a route that imports the app", "src/routes/a.ts", `import { a } from "../app.ts";`],
		["the app that imports the index", "src/app.ts", `import { a } from "./index.ts";`],
		["a schema that imports a route", "src/schemas/a.ts", `import { a } from "../routes/b.ts";`],
		["services that import a route", "src/services.ts", `import { a } from "./routes/b.ts";`],
		["lib that imports limits", "src/lib/a.ts", `import { a } from "../limits.ts";`],
		["errors that import a domain", "src/errors.ts", `import { a } from "./db/a.ts";`],
		[
			"a durable object that imports a route",
			"durable-objects/a.ts",
			`import "../src/routes/a.ts";`,
		],
		["a durable object that imports the app", "durable-objects/a.ts", `import "../src/app.ts";`],
		[
			"a domain that imports a durable object",
			"src/db/a.ts",
			`import "../../durable-objects/a.ts";`,
		],
		["the service that imports the local stack", "src/index.ts", `import "../local/start.ts";`],
	])("refuses %s", (_name, file, text) => {
		expect(check({ [file]: text })).toEqual([`${file}:1 layer`]);
	});

	it.each([
		["a type import", `import type { A } from "../app.ts";`],
		["a re-export", `export { a } from "../app.ts";`],
		["a re-export of everything", `export * from "../app.ts";`],
		["an import over several lines", `import {\n\ta,\n\tb,\n} from "../app.ts";`],
		["a dynamic import", `export const a = () => import("../app.ts");`],
		["an import type", `export type A = import("../app.ts").A;`],
		["an import for its effect", `import "../app.ts";`],
		["a second import on a line", `import { x } from "./x.ts"; import { a } from "../app.ts";`],
	])("sees %s", (_name, text) => {
		expect(findings({ "src/db/a.ts": text }).map(({ rule }) => rule)).toEqual(["layer"]);
	});

	it.each([
		["a line comment", `// import { a } from "../app.ts";`],
		["a block comment", `/*\nimport { a } from "../app.ts";\n*/`],
		["a string", `export const a = 'import { a } from "../app.ts"';`],
		["a template", 'export const a = `import { a } from "../app.ts"`;'],
	])("does not mistake %s for an import", (_name, text) => {
		expect(check({ "src/db/a.ts": text })).toEqual([]);
	});

	it("asks for a place in the table when it meets a new folder", () => {
		expect(check({ "src/helpers/a.ts": "export const a = 1;" })).toEqual([
			"src/helpers/a.ts:1 layer",
		]);
	});

	it("says where the import is, what it may import instead, and how to mend it", () => {
		const [finding] = findings({ "src/lib/a.ts": `\nimport { a } from "../db/a.ts";` });
		expect(finding?.line).toBe(2);
		expect(finding?.message).toBe(
			"lib may not import db (src/db/a.ts), only: lib. Move what both need to a layer below, or pass it in as a parameter",
		);
	});
});

describe("packages", () => {
	it("keeps noble's curves out of what is loaded before the first request", () => {
		const at = (file: string, text: string) => check({ [file]: text });
		const curves = `import { p256 } from "@noble/curves/nist.js";\nexport const a = p256;\n`;
		expect(at("src/signing/ecdsa.ts", curves)).toEqual(["src/signing/ecdsa.ts:1 late"]);
		rmSync(join(root, "src"), { recursive: true });
		expect(at("src/signing/noble-nist.ts", curves)).toEqual([]);
		const early = `import { a } from "./noble-nist.ts";\nexport const b = a;\n`;
		expect(at("src/signing/early.ts", early)).toEqual(["src/signing/early.ts:1 late"]);
		const late = `import type { A } from "./noble-nist.ts";\nexport const c = (): Promise<A> => import("./noble-nist.ts");\n`;
		rmSync(join(root, "src/signing/early.ts"));
		expect(at("src/signing/late.ts", late)).toEqual([]);
	});

	it.each(["hono", "hono/utils/http-status"])("keeps %s out of the domains", (name) => {
		expect(check({ "src/auth/a.ts": `import type { A } from "${name}";` })).toEqual([
			"src/auth/a.ts:1 package",
		]);
	});

	it("leaves other packages alone", () => {
		expect(check({ "src/auth/a.ts": `import { sha256 } from "@noble/hashes/sha2.js";` })).toEqual(
			[],
		);
	});
});

describe("cycles", () => {
	it("finds two files that import each other, even for their types alone", () => {
		const found = findings({
			"src/db/a.ts": `import type { B } from "./b.ts";\nexport type A = B;`,
			"src/db/b.ts": `\nimport type { A } from "./a.ts";\nexport type B = A;`,
		});
		expect(found).toHaveLength(1);
		expect(found[0]).toMatchObject({ file: "src/db/a.ts", line: 1, rule: "cycle" });
		expect(found[0]?.message).toContain("src/db/a.ts -> src/db/b.ts -> src/db/a.ts");
	});

	it("finds a file that imports itself", () => {
		expect(check({ "local/a.ts": `import "./a.ts";` })).toEqual(["local/a.ts:1 cycle"]);
	});

	it("finds a longer cycle in the local stack, and reports it once", () => {
		expect(
			check({
				"local/a.ts": `import "./b.ts";`,
				"local/b.ts": `import "./c.ts";`,
				"local/c.ts": `import "./a.ts";`,
				"local/d.ts": `import "./a.ts";`,
			}),
		).toEqual(["local/a.ts:1 cycle"]);
	});

	it("finds two domain folders that import each other through different files", () => {
		const found = findings({
			"src/auth/a.ts": `import type { D } from "../db/d.ts";`,
			"src/auth/b.ts": "export type B = 1;",
			"src/db/d.ts": "export type D = 1;",
			"src/db/e.ts": `\nimport type { B } from "../auth/b.ts";`,
		});
		expect(found).toHaveLength(1);
		expect(found[0]?.message).toContain("auth -> db -> auth (src/auth/a.ts:1, src/db/e.ts:2)");
	});

	it("allows one domain folder to import another", () => {
		expect(
			check({
				"src/auth/a.ts": `import { d } from "../db/d.ts";`,
				"src/signing/s.ts": `import { a } from "../auth/a.ts";\nimport { d } from "../db/d.ts";`,
				"src/db/d.ts": "export const d = 1;",
			}),
		).toEqual([]);
	});
});

describe("time and randomness", () => {
	it.each([
		"Date.now()",
		"Date.now",
		"new Date()",
		"new Date",
		"new Date( /* now */ )",
		"performance.now()",
		"Math.random()",
		"crypto.getRandomValues(a)",
		"crypto.randomUUID()",
		"`${Date.now()}`",
		"`${`a${1}` + Date.now()} b`",
		"`${[{ a: 1 }, Date.now()]}`",
		"{ a: 1 }.a / Date.now() / 2",
		'"4" / Date.now() / 2',
	])("refuses %s in the service", (code) => {
		expect(check({ "src/db/a.ts": `export const a =\n${code};` })).toEqual([
			"src/db/a.ts:2 ambient",
		]);
	});

	it.each([
		"new Date(0)",
		'new Date("2026-01-01")',
		"0 // Date.now()",
		'"Date.now()"',
		"`Date.now()`",
		"`${f({ a: 1 })} Date.now()`",
		"`\\${Date.now()}`",
		'/Date.now()"/',
		'/[/"]Date.now()/',
		"new Dates()",
		"clock()",
	])("allows %s", (code) => {
		expect(check({ "src/db/a.ts": `export const a =\n${code}` })).toEqual([]);
	});

	it("is about the service and its durable objects only", () => {
		expect(
			check({
				"durable-objects/a.ts": "export const a = Date.now();",
				"local/a.ts": "export const a = Date.now();",
				"scripts/a.ts": "export const a = Math.random();",
			}),
		).toEqual(["durable-objects/a.ts:1 ambient"]);
	});
});

describe("length", () => {
	const body = (count: number) => `{\n${lines(count - 2, "\tstep();")}}`;

	it("allows a function of 70 lines and refuses one of 71, at its first line", () => {
		expect(check({ "src/db/a.ts": `function long(): void ${body(70)}\n` })).toEqual([]);
		expect(check({ "src/db/a.ts": `\nfunction long(): void ${body(71)}\n` })).toEqual([
			"src/db/a.ts:2 length",
		]);
	});

	it.each([
		["an arrow function", `const long = async () => ${body(71)};`],
		["one with a type of braces", `function long(a: { b: 1 }): Promise<{ c: 1 }> ${body(71)}`],
		["a method", `class A { async long(): Promise<void> ${body(71)} }`],
		["a callback", `list.map((item) => ${body(71)});`],
		["one with blocks inside", `function long() {\nif (a) ${body(35)}\nwhile (b) ${body(34)}\n}`],
	])("measures %s", (_name, text) => {
		expect(check({ "src/db/a.ts": text })).toEqual(["src/db/a.ts:1 length"]);
	});

	it("counts a nested function for itself, not for the one around it", () => {
		const methods = Array.from({ length: 5 }, (_, at) => `m${at}() ${body(60)},`).join("\n");
		expect(check({ "src/db/a.ts": `function all() {\nreturn {\n${methods}\n};\n}` })).toEqual([]);
	});

	it("does not take a long table or block for a function", () => {
		expect(check({ "src/db/a.ts": `export const table = [\n${lines(100, "1,")}];` })).toEqual([]);
		expect(check({ "src/db/a.ts": `for (const a of b) {\n${lines(100, "a();")}}` })).toEqual([]);
	});

	it("allows a file of 400 lines and refuses one of 401", () => {
		expect(check({ "local/a.ts": lines(400, "a();") })).toEqual([]);
		expect(check({ "local/a.ts": lines(401, "a();") })).toEqual(["local/a.ts:1 length"]);
	});

	it("names a file that is no TypeScript, and goes on with the others", () => {
		expect(
			check({ "local/a.ts": "const = 1;", "local/b.ts": `function long() ${body(71)}` }),
		).toEqual(["local/a.ts:1 syntax", "local/b.ts:1 length"]);
	});

	it("leaves tests and benches alone", () => {
		expect(check({ "test/a.ts": lines(500, "a();"), "bench/a.ts": lines(500, "a();") })).toEqual(
			[],
		);
	});
});

describe("the command", () => {
	const script = join(import.meta.dirname, "../../scripts/check-architecture.ts");

	it("exits with 0 and says how many files it read when nothing is wrong", () => {
		plant(cleanTree);
		expect(
			execFileSync(process.execPath, [script, root], { encoding: "utf8", stdio: "pipe" }),
		).toBe("12 files, 0 findings\n");
	});

	it("exits with 1 and names file, line and rule of what is wrong", () => {
		plant({ "src/db/a.ts": "export const a = Math.random();" });
		const { status, stdout } = spawnSync(process.execPath, [script, root], { encoding: "utf8" });
		expect(status).toBe(1);
		expect(stdout).toBe(
			"src/db/a.ts:1 ambient: Math.random belongs in src/lib/random.ts alone. Instead, take a Random as a parameter\n1 files, 1 findings\n",
		);
	});

	it("refuses a folder that holds no service", () => {
		const { status, stderr } = spawnSync(process.execPath, [script, root], { encoding: "utf8" });
		expect(status).toBe(2);
		expect(stderr).toContain(`there is no src folder in ${root}`);
	});
});
