import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Problem, runCommand } from "../local/problem.ts";
import { openApi } from "./document.ts";
import { documentedRoutes } from "./routes.ts";

const usage = `npm run openapi -- [--check]

Writes public/openapi.json, which the worker serves, as the route table makes it.
  --check   fail if it is another one, and leave it as it is`;

const path = join(import.meta.dirname, "../public/openapi.json");

async function main(args: string[]): Promise<void> {
	const { values } = parseArgs({ args, options: { check: { type: "boolean" } } });
	// Not by tabs, which YAML does not have: many tools read JSON as YAML.
	const text = `${JSON.stringify(openApi(documentedRoutes), null, 2)}\n`;
	const isSame = (await readFile(path, "utf8").catch(() => "")) === text;
	if (!isSame && values.check) {
		throw new Problem("public/openapi.json is not what the routes make: run `npm run openapi`");
	}
	if (!isSame) await writeFile(path, text);
}

await runCommand(main, usage);
