import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { schedule } from "../../src/jobs/schedule.ts";

it("the schedule is what the platform is told to call", () => {
	const wrangler = readFileSync(join(import.meta.dirname, "../../wrangler.toml"), "utf8");
	const crons = /crons = \[([^\]]*)\]/.exec(wrangler)?.[1]?.match(/"[^"]+"/g) ?? [];
	expect(crons.map((cron) => cron.slice(1, -1)).sort()).toEqual(Object.keys(schedule).sort());
});
