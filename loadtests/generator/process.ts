import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { limits } from "../limits.ts";
import type { FromGenerator, PhaseJob, Pulse, Session, ToGenerator } from "./messages.ts";

export interface GeneratorProcess {
	readonly pid: number;
	/** Begins a session with a server; when its timeline begins, in milliseconds since 1970. */
	open(session: Session): Promise<number>;
	/** Runs phases in a row to the last answer; between which times of the timeline, in milliseconds. */
	run(
		phases: readonly PhaseJob[],
		onStarted: (from: number) => void,
	): Promise<{ readonly from: number; readonly to: number }>;
	/** Ends the phases that run now before their time. */
	cutShort(): void;
	end(): Promise<void>;
}

/**
 * Starts the process that sends the requests (main.ts). It ends with this one.
 * @param onPulse told what was measured, some times a second
 */
export function startGenerator(onPulse: (pulse: Pulse) => void): GeneratorProcess {
	const child = fork(join(import.meta.dirname, "main.ts"), {
		execArgv: [],
		serialization: "advanced", // histograms are typed arrays
		stdio: ["ignore", "ignore", "inherit", "ipc"],
	});
	const tell = (message: ToGenerator) => child.send(message, () => {});
	let timeoutMs = 0;

	/** The next message of a type; pulses go their way meanwhile. */
	function answer<Type extends FromGenerator["type"]>(type: Type, withinMs: number) {
		type Answer = Extract<FromGenerator, { type: Type }>;
		return new Promise<Answer>((resolve, reject) => {
			const onMessage = (message: FromGenerator) => {
				if (message.type === type) settle(() => resolve(message as Answer));
				if (message.type === "failed") fail(message.reason);
			};
			const onExit = () => fail("it ended");
			const fail = (why: string) => settle(() => reject(new Error(`the load generator: ${why}`)));
			const timer = setTimeout(() => fail("no answer in time"), withinMs);
			const settle = (act: () => void) => {
				clearTimeout(timer);
				child.off("message", onMessage).off("exit", onExit);
				act();
			};
			child.on("message", onMessage).on("exit", onExit);
			if (child.exitCode !== null || child.signalCode !== null) onExit();
		});
	}

	child.on("message", (message: FromGenerator) => {
		if (message.type === "pulse") onPulse(message);
	});
	return {
		pid: child.pid ?? 0,
		async open(session) {
			timeoutMs = session.timeoutMs;
			tell({ type: "open", session });
			return (await answer("ready", limits.readyTimeoutMs)).origin;
		},
		async run(phases, onStarted) {
			const seconds = phases.reduce((sum, phase) => sum + phase.seconds, 0);
			tell({ type: "run", phases });
			const done = answer("done", seconds * 1000 + timeoutMs + limits.runGraceMs);
			const started = answer("started", limits.readyTimeoutMs);
			const [{ to }, { from }] = await Promise.all([
				done,
				started.then((message) => {
					onStarted(message.from);
					return message;
				}),
			]);
			return { from, to };
		},
		cutShort: () => tell({ type: "stop" }),
		async end() {
			if (child.exitCode !== null || child.signalCode !== null) return;
			child.kill("SIGKILL");
			await once(child, "exit");
		},
	};
}
