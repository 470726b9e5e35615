import { expect, test, vi } from "vitest";
import { requireTemporaryFolder } from "../../local/processes.ts";
import { leftoversOf, runCommand } from "../support/node/processes.ts";

/** Starts `sleep` through the gate, and is killed before, or after, it tells of the process id. */
const script = `
	import { setTimeout as wait } from "node:timers/promises";
	import { spawnTold } from "./local/processes.ts";
	const isKilled = process.argv[1] === "killed";
	const how = { cwd: "/", env: process.env, output: ["ignore", "ignore"] };
	const child = spawnTold("sleep", ["3600"], how, () => {
		if (isKilled) process.kill(process.pid, "SIGKILL");
	});
	await wait(200);
	process.kill(-child.pid, 0); // it is there, and leads its group
	process.kill(child.pid, "SIGTERM");
	child.once("exit", (code, signal) => console.log("ended by", signal));
`;

const run = (how: string) =>
	runCommand(process.execPath, ["--input-type=module", "-e", script, how]);

test("a program does not begin when its starter is killed before it told of it", async () => {
	const command = run("killed");
	expect(await command.ended).toBe("SIGKILL");
	expect(await leftoversOf(command.tag)).toEqual([]);
});

test("it begins, under the process id that was told, when the starter lives", async () => {
	const command = run("lives");
	expect(await command.ended).toBe(0);
	expect(command.stdout()).toContain("ended by SIGTERM");
});

test("a folder for temporary files that takes none is told of", () => {
	requireTemporaryFolder();
	vi.stubEnv("TMPDIR", "/proc/edgesign");
	expect(requireTemporaryFolder).toThrow(
		/^the folder for temporary files, \/proc\/edgesign, can not be written: set TMPDIR .* \(ENOENT/,
	);
	vi.unstubAllEnvs();
});
