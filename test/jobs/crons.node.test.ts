import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { archiveSchedule } from "../../src/jobs/archive-schedule.ts";
import { schedule } from "../../src/jobs/schedule.ts";

it.each([
	["wrangler.toml", schedule],
	["wrangler.archive.toml", archiveSchedule],
])("the schedule is what the platform is told to call, by %s", (file, schedule) => {
	const wrangler = readFileSync(join(import.meta.dirname, "../..", file), "utf8");
	const crons = /crons = \[([^\]]*)\]/.exec(wrangler)?.[1]?.match(/"[^"]+"/g) ?? [];
	expect(crons.map((cron) => cron.slice(1, -1)).sort()).toEqual(Object.keys(schedule).sort());
});
