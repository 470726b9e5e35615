import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { FromClient, Job, Outcome } from "./client-messages.ts";
import { type CpuShare, cpuShare, cpuTimeOf, machineBusySeconds } from "./processes.ts";
import type { Ground, Server } from "./workers.ts";

export interface Measured extends Outcome {
	/** What the server's workerd used; null where the system does not tell, as the others below. */
	readonly server: CpuShare | null;
	/** Seconds of the server's CPU time for each answer. */
	readonly serverSecondsEach: number | null;
	/** Cores that were busy with neither the server nor the generator. */
	readonly othersCores: number | null;
}

export interface Generator {
	/** Runs a job against a worker to its end. @throws when not one request was answered */
	run(worker: Server, job: Omit<Job, "port">): Promise<Measured>;
}

/** Starts the process that sends the requests (client.ts). It ends with this one. */
export function startGenerator({ undo }: Ground, signal: AbortSignal): Generator {
	const child = fork(join(import.meta.dirname, "client.ts"), {
		execArgv: [],
		stdio: ["ignore", "ignore", "inherit", "ipc"],
	});
	undo.add(async () => {
		if (child.exitCode !== null || child.signalCode !== null) return;
		child.kill("SIGKILL");
		await once(child, "exit");
	});
	return {
		async run(worker, job) {
			signal.throwIfAborted();
			if (!child.connected) throw new Error("the load generator has ended");
			const watch = watchCpu(worker.pid() ?? 0, child.pid ?? 0);
			child.send({ ...job, port: worker.port } satisfies Job);
			const [message] = (await once(child, "message", { signal })) as [FromClient];
			const used = watch();
			if (message.type === "failed") throw new Error(`the load generator: ${message.reason}`);
			const { outcome } = message;
			if (outcome.answeredInAll === 0) {
				throw new Error(`no request was answered: ${JSON.stringify(outcome.failures)}`);
			}
			return {
				...outcome,
				server: used?.server ?? null,
				serverSecondsEach: used && used.serverSeconds / outcome.answeredInAll,
				othersCores: used?.othersCores ?? null,
			};
		},
	};
}

/** Starts to look at who uses the processor; the answer tells what was used until it is called. */
function watchCpu(serverPid: number, generatorPid: number) {
	const look = () => {
		const [server, generator] = [cpuTimeOf(serverPid), cpuTimeOf(generatorPid)];
		const machine = machineBusySeconds();
		return server && generator && machine !== undefined ? { server, generator, machine } : null;
	};
	const before = look();
	const start = performance.now();
	return () => {
		const after = look();
		if (!before || !after) return null;
		const seconds = (performance.now() - start) / 1000;
		const serverSeconds = after.server.total - before.server.total;
		const ours = serverSeconds + after.generator.total - before.generator.total;
		return {
			server: cpuShare(before.server, after.server, seconds),
			serverSeconds,
			othersCores: Math.max(0, (after.machine - before.machine - ours) / seconds),
		};
	};
}

/** What a reader of a figure has to know of how it was made: errors, and who was the limit. */
export function remarksOn(outcomes: readonly Measured[]): string[] {
	const remarks: string[] = [];
	const failures = new Map<string, number>();
	for (const outcome of outcomes) {
		for (const [kind, count] of Object.entries(outcome.failures)) {
			failures.set(kind, (failures.get(kind) ?? 0) + count);
		}
	}
	for (const [kind, count] of failures) remarks.push(`WARNING: ${count} requests failed (${kind})`);
	const dropped = outcomes.reduce((sum, outcome) => sum + outcome.dropped, 0);
	if (dropped > 0) remarks.push(`WARNING: ${dropped} scheduled requests were dropped`);
	return remarks;
}
