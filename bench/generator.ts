import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import type { FromClient, Job, Outcome } from "./client-messages.ts";
import { type CpuShare, cpuShare, cpuTimeOf, findInGroup } from "./processes.ts";
import type { BenchWorker, Ground } from "./workers.ts";

export interface Measured extends Outcome {
	/** What the server's workerd used; null where the system does not tell. */
	readonly server: CpuShare | null;
	/** The same for each answer, in milliseconds; NaN where the system does not tell. */
	readonly serverMsEach: number;
}

export interface Generator {
	/** Runs a job against a worker to its end. @throws when not one request was answered */
	run(worker: BenchWorker, job: Omit<Job, "port">): Promise<Measured>;
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
			const pid = findInGroup(worker.group, "workerd");
			const before = pid === undefined ? undefined : cpuTimeOf(pid);
			const start = performance.now();
			child.send({ ...job, port: worker.port } satisfies Job);
			const [message] = (await once(child, "message", { signal })) as [FromClient];
			const seconds = (performance.now() - start) / 1000;
			const after = pid === undefined ? undefined : cpuTimeOf(pid);
			if (message.type === "failed") throw new Error(`the load generator: ${message.reason}`);
			const { outcome } = message;
			if (outcome.answered === 0) {
				throw new Error(`no request was answered: ${JSON.stringify(outcome.failures)}`);
			}
			const server = before && after ? cpuShare(before, after, seconds) : null;
			const used = server ? server.process * seconds * 1000 : Number.NaN;
			return { ...outcome, server, serverMsEach: used / outcome.answeredInAll };
		},
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
