import { isAlive } from "./processes.ts";

const samePressMs = 500;
const pollMs = 500;

/**
 * Calls `onFirst` at the first request to end: Ctrl-C, SIGTERM, SIGHUP, or the death of the
 * process that launched us. A second one ends this process at once.
 */
export function onEndRequest(onFirst: () => void): void {
	let first: number | undefined;
	const request = () => {
		// The terminal and npm may both tell of one Ctrl-C.
		if (first !== undefined && performance.now() - first < samePressMs) return;
		if (first !== undefined) process.exit(130);
		first = performance.now();
		onFirst();
	};
	// With the terminal gone, what we say can not be written: that must not end us half way.
	for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
	for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, request);
	onParentGone(request);
}

/**
 * Only when it was local/run.mjs that launched us: others may have left us on purpose. It may have died before we
 * could look. One that is alive and not our parent launched whoever launched us.
 */
function onParentGone(call: () => void): void {
	const launcher = Number(process.env.EDGESIGN_PARENT);
	if (!launcher) return;
	if (process.ppid !== launcher) {
		if (!isAlive(launcher)) call();
		return;
	}
	const timer = setInterval(() => {
		if (process.ppid === launcher) return;
		clearInterval(timer);
		call();
	}, pollMs);
	timer.unref();
}
