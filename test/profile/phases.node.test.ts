import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { rulePlaces } from "../../profile/phases.ts";
import { project } from "../support/node/processes.ts";

test("every place that stands for a phase is there", () => {
	const missing = rulePlaces().filter((place) => {
		const [path = "", name] = place.split("#");
		if (/^(hono|@)/.test(path)) return !existsSync(join(project, "node_modules", path));
		const file = join(project, path);
		if (!existsSync(file)) return true;
		return name !== undefined && !readFileSync(file, "utf8").includes(`${name}(`);
	});
	expect(missing).toEqual([]);
});
