import { spawnSync } from "node:child_process";
import { closeSync, existsSync, openSync } from "node:fs";
import { expect, test } from "vitest";
import { describe } from "../../local/problem.ts";
import { project } from "../support/node/processes.ts";

test.each([
	["EMFILE", /^edgesign: too few files may be open at once: raise the limit .* \(EMFILE.*\)$/],
	["ENOSPC", /^edgesign: ENOSPC: no space left$/],
])("%s is the machine's and a line for a person", (code, line) => {
	expect(describe(Object.assign(new Error(`${code}: no space left`), { code }))).toMatch(line);
});

test("a machine that starts no more processes is one; what else has to wait is not", () => {
	const error = (syscall: string) =>
		Object.assign(new Error(`${syscall} /bin/sh EAGAIN`), { code: "EAGAIN", syscall });
	expect(describe(error("spawn"))).toMatch(/^edgesign: no more processes can be started: .*\n?$/);
	expect(describe(error("read"))).not.toContain("processes");
});

test.skipIf(!existsSync("/dev/full"))("what can not be written is a line and exit code 1", () => {
	const script = `const { runCommand } = await import("./local/problem.ts");
		await runCommand(async () => console.log("what was asked for"));`;
	const full = openSync("/dev/full", "w");
	const { status, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
		cwd: project,
		stdio: ["ignore", full, "pipe"],
		encoding: "utf8",
	});
	closeSync(full);
	expect(status).toBe(1);
	expect(stderr).toMatch(/^edgesign: standard output can not be written: ENOSPC.*\n$/);
});

test("a defect of ours is told with its trace", () => {
	expect(describe(new TypeError("x is not a function"))).toContain("problem.node.test.ts");
});
