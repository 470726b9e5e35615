import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { openApi } from "../../openapi/document.ts";
import { documentedRoutes as routes } from "../../openapi/routes.ts";
import { errorTable } from "../../src/errors.ts";
import * as limits from "../../src/limits.ts";
import type { Route } from "../../src/routes/route.ts";

const publicFolder = join(import.meta.dirname, "../../public");
const folder = join(publicFolder, "docs");
const names = readdirSync(folder);
const scripts = names.filter((name) => name.endsWith(".js"));
const read = (name: string) => readFileSync(join(folder, name), "utf8");
const html = read("index.html");

/** The first group of every match. */
function found(text: string, pattern: RegExp): string[] {
	return [...text.matchAll(pattern)].map((match) => match[1] ?? "");
}

describe("the files of the documentation page", () => {
	it("are all there, and are all of this origin", () => {
		const links = found(html, /\s(?:src|href)="([^"]*)"/g).filter((link) => !link.startsWith("#"));
		expect(links.length).toBeGreaterThan(3);
		for (const link of new Set(links)) {
			const isRoute = routes.some(({ path }) => path === link);
			expect(isRoute || existsSync(join(publicFolder, link)), link).toBe(true);
		}
		for (const name of scripts) {
			for (const imported of found(read(name), /\bfrom "([^"]*)"/g)) {
				expect(names, `${name} imports ${imported}`).toContain(imported.replace(/^\.\//, ""));
			}
		}
	});

	it("name no other origin", () => {
		const svgNamespace = "http://www.w3.org/2000/svg";
		for (const name of names) {
			const text = read(name).replace(svgNamespace, "");
			expect(found(text, /(\bhttps?:\/\/|["'(]\/\/|@import|\burl\()/g), name).toEqual([]);
		}
	});

	it("have no script, style or handler inline, which the page's policy would refuse", () => {
		const inline = /<script(?![^>]*\ssrc=)|<style|\s(style|on\w+)=/i;
		expect(html).not.toMatch(inline);
		expect(
			found(html, /<script[^>]*>([^<]*)<\/script>/g)
				.join("")
				.trim(),
		).toBe("");
	});

	it("make no markup of text, evaluate none and keep nothing in the browser", () => {
		const forbidden =
			/\b(inner|outer)HTML\b|insertAdjacent|createContextualFragment|document\.write|\beval\b|\bFunction\(|Storage\b|indexedDB|cookie/;
		for (const name of scripts) expect(read(name), name).not.toMatch(forbidden);
	});

	it("parse as modules", () => {
		for (const name of scripts) {
			execFileSync(process.execPath, ["--check", join(folder, name)]);
		}
		expect(scripts).toContain("docs.js");
	});

	it("have 40 KiB at the most", () => {
		const sizes = names.map((name) => statSync(join(folder, name)).size);
		expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(40 * 1024);
	});

	it("are under the same policy at /docs/ as the page at /docs", async () => {
		const page = routes.find(({ id }) => id === "getDocs") as Route & { permission: null };
		const services = { assets: { fetch: async () => new Response(html) } };
		const raw = new Request("https://edgesign.test/docs");
		const reply = await page.handle({ services, raw } as never);
		const policy =
			reply.ok &&
			reply.value instanceof Response &&
			reply.value.headers.get("Content-Security-Policy");
		expect(policy).toContain("script-src 'self'");
		const headers = readFileSync(join(publicFolder, "_headers"), "utf8");
		expect(headers).toContain(`\n/docs/*\n  Content-Security-Policy: ${policy}\n`);
	});
});

describe("what the documentation page says", () => {
	it("is what src/limits.ts says", () => {
		const units: Record<string, number> = { KiB: 1024, MiB: 1024 * 1024 };
		const shown = [...html.matchAll(/data-limit="(\w+)">([\d.,]+)(?: (\w+))?</g)];
		expect(shown.length).toBeGreaterThan(5);
		const known: Readonly<Record<string, unknown>> = limits;
		for (const [, name = "", number = "", unit = ""] of shown) {
			const value = Number(number.replace(",", "")) * (units[unit] ?? 1);
			expect(value, name).toBe(known[name]);
		}
	});

	it("has an anchor of its own for every section, operation and error code", () => {
		const ids = [
			...found(html, /\sid="([^"]*)"/g),
			...routes.map(({ id }) => id),
			...Object.keys(errorTable),
		];
		expect(ids.filter((id, index) => ids.indexOf(id) !== index)).toEqual([]);
	});

	it("offers every operation with its problem codes, which are all in the table", async () => {
		const { operationsOf } = await importScript<OperationsScript>("operations.js");
		const operations = operationsOf(openApi(routes));
		expect(operations.map(({ id }) => id).sort()).toEqual(routes.map(({ id }) => id).sort());
		for (const { id, problems } of operations) {
			const codes = problems.flatMap((problem) => problem.codes);
			expect(codes, id).toContain("internal");
			expect(Object.keys(errorTable)).toEqual(expect.arrayContaining(codes));
		}
	});
});

describe("the curl lines of the documentation page", () => {
	it.each([
		["a plain body", '{"message":"aGVsbG8="}'],
		["a long body", JSON.stringify({ claims: { sub: "user-1", name: "x".repeat(80) } })],
		["quotes and the shell's own signs", JSON.stringify({ a: `it's "$HOME" \`id\` \\ !` })],
		["what is no JSON", "{not json '\n"],
	])("send %s unchanged when they are pasted into a shell", async (_name, body) => {
		const { curl } = await importScript<CurlScript>("curl.js");
		const url = "https://edgesign.test/v1/keys/a/sign";
		const sent = argumentsOf(curl({ method: "POST", url, needsToken: true, body }));
		expect(sent.slice(0, -1)).toEqual([
			...["-X", "POST", url, "-H", "Authorization: Bearer es_main_x"],
			...["-H", "Content-Type: application/json", "-d"],
		]);
		expect(meaning(sent.at(-1))).toEqual(meaning(body));
	});

	it("send headers, whatever is in them", async () => {
		const { curl } = await importScript<CurlScript>("curl.js");
		const url = "https://edgesign.test/v1/keys/a/enable";
		const headers = [["Idempotency-Key", `it's "one"`]];
		const sent = argumentsOf(curl({ method: "POST", url, needsToken: false, headers }));
		expect(sent).toEqual(["-X", "POST", url, "-H", `Idempotency-Key: it's "one"`]);
	});

	it("escape what is put into the path and the query", async () => {
		const { curl, target } = await importScript<CurlScript>("curl.js");
		const query = [
			["tag", "team:a&b"],
			["tag", "it's"],
		];
		const path = target("/v1/keys/{key}", [["key", "a/../b?c"]], query);
		expect(path).toBe("/v1/keys/a%2F..%2Fb%3Fc?tag=team%3Aa%26b&tag=it%27s");
		const url = `https://edgesign.test${path}`;
		expect(argumentsOf(curl({ method: "GET", url, needsToken: false }))).toEqual([url]);
	});
});

interface CurlScript {
	curl(request: {
		method: string;
		url: string;
		needsToken: boolean;
		headers?: string[][];
		body?: string;
	}): string;
	target(path: string, params: string[][], query: string[][]): string;
}

interface OperationsScript {
	operationsOf(document: unknown): { id: string; problems: { codes: string[] }[] }[];
}

async function importScript<Script>(name: string): Promise<Script> {
	return import(pathToFileURL(join(folder, name)).href);
}

/** What a shell hands to curl. */
function argumentsOf(line: string): string[] {
	const script = `curl() { printf '%s\\0' "$@"; }\n${line}`;
	const out = execFileSync("sh", ["-c", script], { env: { TOKEN: "es_main_x" }, encoding: "utf8" });
	return out.split("\0").slice(0, -1);
}

function meaning(body = ""): unknown {
	try {
		return JSON.parse(body);
	} catch {
		return body;
	}
}
