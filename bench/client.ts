/**
 * The load generator, in a process of its own: takes a job as a message, answers what came of it.
 * Bounded in time by the job, in memory by `samplesMax`.
 */
import type { FromClient, Job, Outcome } from "./client-messages.ts";
import { type Connection, openConnection } from "./connection.ts";
import { percentile } from "./stats.ts";

const samplesMax = 2_000_000;
/** How often the generator looks whether a request is due or an answer is there: the error of a latency. */
const napMs = 0.1;
/** Nobody wakes whoever waits for it: what a nap waits on. */
const nobody = new Int32Array(new SharedArrayBuffer(4));
/** How long answers that are still on their way are waited for in the end. */
const drainMs = 2_000;
/** Of the schedule, in seconds: what waits longer than this for a connection is dropped. */
const backlogSeconds = 2;

interface Run {
	readonly job: Job;
	readonly request: Buffer;
	/** Milliseconds of the process's clock between which answers count. */
	readonly from: number;
	readonly to: number;
	readonly latencies: Samples;
	readonly failures: Map<string, number>;
	answered: number;
	answeredInAll: number;
	inFlight: number;
}

/** A bounded list of numbers that allocates nothing while it is filled. */
interface Samples {
	add(value: number): void;
	all(): Float64Array;
}

function createSamples(capacity: number): Samples {
	const values = new Float64Array(capacity);
	let count = 0;
	return {
		add(value) {
			if (count < capacity) values[count++] = value;
		},
		all: () => values.subarray(0, count),
	};
}

/** What decides when the next request goes out. */
interface Pace {
	start(connections: readonly Connection[]): void;
	/** An answer came: the connection is free. */
	free(connection: Connection): void;
	readonly dropped: () => number;
	readonly lateness: () => Float64Array | null;
	/** Milliseconds of the measured time in which there was nothing to do; null where the system knows. */
	readonly idleMs: () => number | null;
}

/** As many requests as there are answers. */
function closedPace(run: Run): Pace {
	const next = (connection: Connection) => {
		const now = performance.now();
		if (now >= run.to) return;
		send(run, connection, now);
	};
	return {
		start(connections) {
			for (const connection of connections) next(connection);
		},
		free: next,
		dropped: () => 0,
		lateness: () => null,
		idleMs: () => null,
	};
}

/** Requests at fixed times, whatever the server does; each counts from its time. */
function scheduledPace(run: Run, rate: number): Pace {
	// First in, first out: a server closes a connection that nothing was asked on for some seconds.
	const idle: Connection[] = [];
	const late = createSamples(samplesMax);
	const apartMs = 1000 / rate;
	const backlogMax = Math.ceil(rate * backlogSeconds);
	let start = 0;
	let next = 0; // the number of the request that goes out next
	let dropped = 0;
	let idleMs = 0;
	let activity = true;
	let lastTick = 0;

	const dispatch = (now: number, waited: boolean) => {
		const due = Math.floor((now - start) / apartMs);
		if (due - next > backlogMax) {
			dropped += due - next - backlogMax;
			next = due - backlogMax;
		}
		while (next <= due) {
			const connection = idle.shift();
			if (!connection) return;
			const scheduled = start + next++ * apartMs;
			if (!waited && scheduled >= run.from) late.add(now - scheduled);
			activity = true;
			send(run, connection, scheduled);
		}
	};
	/** Short naps in a loop: a timer would be late by a millisecond, and a loop without naps takes a core. */
	const tick = () => {
		const now = performance.now();
		if (now >= run.to) return;
		if (!activity && now >= run.from) idleMs += now - lastTick;
		activity = false;
		lastTick = now;
		dispatch(now, false);
		if (!activity) Atomics.wait(nobody, 0, 0, napMs);
		setImmediate(tick);
	};
	return {
		start(connections) {
			idle.push(...connections);
			start = performance.now();
			tick();
		},
		free(connection) {
			activity = true;
			const now = performance.now();
			const waited = idle.length === 0;
			idle.push(connection);
			if (now < run.to) dispatch(now, waited);
		},
		dropped: () => dropped,
		lateness: () => late.all(),
		idleMs: () => idleMs,
	};
}

function send(run: Run, connection: Connection, since: number): void {
	connection.since = since;
	run.inFlight++;
	connection.send(run.request);
}

function count(run: Run, kind: string): void {
	run.failures.set(kind, (run.failures.get(kind) ?? 0) + 1);
}

async function execute(job: Job): Promise<Outcome> {
	const from = performance.now() + job.warmUpMs;
	const run: Run = {
		job,
		request: Buffer.from(job.request, "latin1"),
		from,
		to: from + job.measureMs,
		latencies: createSamples(samplesMax),
		failures: new Map(),
		answered: 0,
		answeredInAll: 0,
		inFlight: 0,
	};
	const pace = job.rate === null ? closedPace(run) : scheduledPace(run, job.rate);
	const onAnswer = (connection: Connection, status: number) => {
		const now = performance.now();
		run.inFlight--;
		if (status < 200 || status > 299) count(run, `status ${status}`);
		else {
			run.answeredInAll++;
			if (now >= run.from && now < run.to) {
				run.answered++;
				run.latencies.add(now - connection.since);
			}
		}
		pace.free(connection);
	};
	const onFailure = (kind: string) => {
		run.inFlight--;
		count(run, kind);
	};
	const connections = await Promise.all(
		Array.from({ length: job.connections }, () =>
			openConnection({ port: job.port, onAnswer, onFailure }),
		),
	);
	pace.start(connections);
	await untilTime(run.from);
	const cpuBefore = process.cpuUsage();
	await untilTime(run.to);
	const used = process.cpuUsage(cpuBefore);
	const drained = performance.now() + drainMs;
	while (run.inFlight > 0 && performance.now() < drained) await untilTime(performance.now() + 5);
	if (run.inFlight > 0) run.failures.set("no answer", run.inFlight);
	for (const connection of connections) connection.close();
	return summarise(run, pace, (used.user + used.system) / 1000);
}

function untilTime(time: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, Math.max(0, time - performance.now())));
}

function summarise(run: Run, pace: Pace, cpuMs: number): Outcome {
	const { measureMs } = run.job;
	const latencies = run.latencies.all();
	const late = pace.lateness();
	const at = (share: number) => percentile(latencies, share);
	const idleMs = pace.idleMs();
	const cpu = cpuMs / measureMs;
	return {
		answered: run.answered,
		answeredInAll: run.answeredInAll,
		failures: Object.fromEntries(run.failures),
		perSecond: (1000 * run.answered) / measureMs,
		latencyMs:
			latencies.length === 0 ? null : { p50: at(0.5), p95: at(0.95), p99: at(0.99), max: at(1) },
		cpu,
		busy: idleMs === null ? cpu : 1 - idleMs / measureMs,
		dropped: pace.dropped(),
		lateMs: late && late.length > 0 ? percentile(late, 0.99) : null,
	};
}

function answer(message: FromClient): void {
	process.send?.(message);
}

process.on("message", (job: Job) => {
	execute(job).then(
		(outcome) => answer({ type: "outcome", outcome }),
		(error) => answer({ type: "failed", reason: String(error) }),
	);
});
process.on("disconnect", () => process.exit(0));
