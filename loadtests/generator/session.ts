import { limits } from "../limits.ts";
import { Histogram } from "./histogram.ts";
import { CellLedger } from "./ledger.ts";
import type { FromGenerator, PhaseJob, PreparedKind, Session } from "./messages.ts";
import { Pool } from "./pool.ts";
import { type Arrival, ClosedSource, createDraw, openSource, type Source } from "./sources.ts";

/** Nobody wakes whoever waits for it: what a nap waits on. */
const nobody = new Int32Array(new SharedArrayBuffer(4));
const uniqueDigits = 10;

export interface Generating {
	/** Runs phases in a row, and then waits for what is under way. */
	run(phases: readonly PhaseJob[]): Promise<void>;
	stop(): void;
	close(): void;
}

/** One session with one server. Everything is told to `tell`; the timeline begins now. */
export function openSession(session: Session, tell: (message: FromGenerator) => void): Generating {
	const origin = performance.now();
	const ledger = new CellLedger(origin, session.kinds, session.timeoutMs);
	const requestOf = createRequests(session.kinds);
	const pool = new Pool({
		session,
		requestOf: ({ kind }) => requestOf(kind),
		onEnd(arrival, outcome, now, code) {
			ledger.ended(arrival, outcome, now, code);
			const { user } = arrival;
			if (user && !user.source.answered(user, now) && user.slot) pool.release(user.slot, now);
		},
	});
	const pulse = createPulse(ledger, pool, tell);
	const draw = createDraw(session.seed);
	let stopped = false;

	/** All that is due by now, of sources in the order in which they stand. */
	const notice = (sources: readonly Source[], now: number) => {
		for (const source of sources) {
			while (source.nextDue() <= now) {
				const arrival = source.next();
				pulse.lag.record(now - arrival.scheduled);
				ledger.offered(arrival);
				if (!pool.offer(arrival)) drop(ledger, arrival, now);
			}
		}
	};
	/** Looks at the clock again and again; `until` says when it is over. */
	const loop = (sources: () => readonly Source[], until: (now: number) => boolean) =>
		new Promise<void>((resolve) => {
			let swept = performance.now();
			const tick = () => {
				const now = performance.now();
				const current = sources();
				notice(current, now);
				if (now - swept >= limits.sweepMs) {
					swept = now;
					pool.sweep(now);
				}
				pulse.look(now);
				if (until(now)) return resolve();
				nap(current, now, pool.inFlight + pool.waiting > 0);
				setImmediate(tick);
			};
			tick();
		});

	return {
		async run(phases) {
			// On the edge of a cell, as every phase then is.
			const earliest = performance.now() + limits.startDelayMs - origin;
			const from = origin + Math.ceil(earliest / limits.cellMs) * limits.cellMs;
			tell({ type: "started", from: from - origin });
			stopped = false;
			let start = from;
			for (const phase of phases) {
				const end = start + phase.seconds * 1000;
				await runPhase(phase, { start, end, draw, pool, loop, isStopped: () => stopped });
				start = end;
				if (stopped) break;
			}
			await loop(
				() => [],
				() => pool.inFlight + pool.waiting === 0,
			);
			pulse.flush(performance.now());
			tell({ type: "done", to: Math.min(start, performance.now()) - origin });
		},
		stop() {
			stopped = true;
		},
		close: () => pool.close(),
	};
}

interface PhaseRun {
	/** Of the process's clock. */
	readonly start: number;
	readonly end: number;
	readonly draw: () => number;
	readonly pool: Pool;
	readonly loop: (
		sources: () => readonly Source[],
		until: (now: number) => boolean,
	) => Promise<void>;
	readonly isStopped: () => boolean;
}

async function runPhase(
	{ seconds, loads }: PhaseJob,
	{ start, end, draw, pool, loop, isStopped }: PhaseRun,
): Promise<void> {
	const sources = loads.map((load) =>
		load.model === "open"
			? openSource(load, start, seconds, draw)
			: new ClosedSource(load, start, seconds, draw),
	);
	const closed = sources.filter((source) => source instanceof ClosedSource);
	pool.expectUsers(closed.reduce((sum, { users }) => sum + users.length, 0));
	await loop(
		() => sources,
		(now) => now >= end || isStopped(),
	);
	const now = performance.now();
	for (const source of sources) source.end();
	for (const { slot } of closed.flatMap(({ users }) => users)) {
		if (slot && !slot.arrival) pool.release(slot, now);
	}
}

function drop(ledger: CellLedger, arrival: Arrival, now: number): void {
	ledger.dropped(arrival);
	arrival.user?.source.answered(arrival.user, now);
}

/** Short naps: a timer would be late by a millisecond, and a loop without naps takes a core. */
function nap(sources: readonly Source[], now: number, isAwaiting: boolean): void {
	if (isAwaiting) return void Atomics.wait(nobody, 0, 0, limits.napMs);
	const due = Math.min(...sources.map((source) => source.nextDue()));
	const left = Math.min(limits.idleNapMs, due - now - limits.napMs);
	if (left > 0) Atomics.wait(nobody, 0, 0, left);
}

/** Requests in turn, each with another number where it asks for one. */
function createRequests(kinds: readonly PreparedKind[]): (kind: number) => Uint8Array {
	const buffers = kinds.map(({ requests }) => requests.map((bytes) => Buffer.from(bytes)));
	const next = kinds.map(() => 0);
	let unique = 0;
	return (kind) => {
		const variants = buffers[kind] ?? [];
		const turn = next[kind] ?? 0;
		next[kind] = (turn + 1) % variants.length;
		const request = variants[turn] ?? Buffer.alloc(0);
		const places = kinds[kind]?.uniqueAt[turn] ?? [];
		if (places.length === 0) return request;
		const copy = Buffer.from(request);
		const text = String(unique++).padStart(uniqueDigits, "0");
		for (const place of places) copy.write(text, place, "latin1");
		return copy;
	};
}

/** Tells what was measured at every `flushMs`. */
function createPulse(ledger: CellLedger, pool: Pool, tell: (message: FromGenerator) => void) {
	const lag = new Histogram();
	let last = performance.now();
	let cpu = process.cpuUsage();
	const flush = (now: number) => {
		const used = process.cpuUsage(cpu);
		cpu = process.cpuUsage();
		const milliseconds = Math.max(1, now - last);
		last = now;
		tell({
			type: "pulse",
			cells: ledger.take(),
			cell: ledger.cellAt(now),
			lag: lag.take(),
			cpu: (used.user + used.system) / 1000 / milliseconds,
			inFlight: pool.inFlight,
			waiting: pool.waiting,
			connections: pool.connections,
		});
	};
	return {
		lag,
		flush,
		look(now: number) {
			if (now - last >= limits.flushMs) flush(now);
		},
	};
}
