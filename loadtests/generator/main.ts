/**
 * The load generator, in a process of its own: nothing that the parent does (the stack's gateways,
 * reports) takes its time. It ends with the parent.
 */
import type { FromGenerator, ToGenerator } from "./messages.ts";
import { type Generating, openSession } from "./session.ts";

let generating: Generating | undefined;

function tell(message: FromGenerator): void {
	process.send?.(message);
}

function fail(error: unknown): void {
	tell({ type: "failed", reason: error instanceof Error ? error.message : String(error) });
}

process.on("message", (message: ToGenerator) => {
	if (message.type === "open") {
		generating?.close();
		generating = openSession(message.session, tell);
		tell({ type: "ready", origin: performance.timeOrigin + performance.now() });
	} else if (message.type === "stop") generating?.stop();
	else generating?.run(message.phases).catch(fail);
});
process.on("disconnect", () => process.exit(0));
