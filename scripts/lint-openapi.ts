/** Lints the OpenAPI document by Redocly's recommended rules. Run: `node scripts/lint-openapi.ts`. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createConfig, lintFromString } from "@redocly/openapi-core";

const path = join(import.meta.dirname, "..", "public", "openapi.json");

const config = await createConfig({ extends: ["recommended"] });
const source = await readFile(path, "utf8");
const problems = await lintFromString({ source, absoluteRef: path, config });
for (const { severity, ruleId, message, location } of problems) {
	console.log(`${severity} ${ruleId} at ${location[0]?.pointer ?? "#/"}: ${message}`);
}
process.exitCode = problems.length === 0 ? 0 : 1;
