import { spawnSync } from "node:child_process";
import { expect, test } from "vitest";
import { runCommand } from "../support/node/processes.ts";

const script = `const { onEndRequest } = await import("./local/signals.ts");
	onEndRequest(() => { console.log("asked"); process.exit(0); });
	console.log("waits"); setTimeout(() => {}, 60_000);`;

function waiting(launcher: number) {
	const args = ["--input-type=module", "-e", script];
	return runCommand(process.execPath, args, { EDGESIGN_PARENT: String(launcher) });
}

test("a launcher that died before we could look is a request to end", async () => {
	const { pid } = spawnSync("true");
	const command = waiting(pid);
	expect(await command.ended).toBe(0);
	expect(command.stdout()).toBe("asked\n");
});

test("a launcher that lives, our parent or not, asks for nothing", async () => {
	for (const launcher of [process.pid, process.ppid]) {
		const command = waiting(launcher);
		await command.says(/waits/);
		command.child.kill("SIGTERM");
		expect(await command.ended).toBe(0);
		expect(command.stdout()).toBe("waits\nasked\n");
	}
});
