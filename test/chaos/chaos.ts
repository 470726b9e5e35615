import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { type Load, startLoad } from "./load.ts";
import { type Kill, killSchedule } from "./schedule.ts";
import { judge, type Verdict } from "./verdict.ts";
import { startVictims, type Victims } from "./victims.ts";

const warmMs = 500;
const movedTimeoutMs = 120_000;
const pollMs = 100;
const cron = "* * * * *";

export interface ChaosOptions {
	readonly kills: number;
	/** Decides who is killed when, and what is asked for. */
	readonly seed: number;
	readonly dataDir: string;
	/** For requests under a key that were under way in the end; a stalled one takes 30 s. */
	readonly patienceMs: number;
	readonly onProgress?: (line: string) => void;
	/** Aborted when the run is to end early. */
	readonly signal?: AbortSignal;
}

export interface Outcome extends Verdict {
	readonly signatures: number;
	readonly keys: number;
	readonly killed: readonly Kill[];
	/** By status; 0 for none. */
	readonly answers: ReadonlyMap<number, number>;
}

/** Signs and changes keys while parts of the stack are killed, then looks at what the log has of it. */
export async function runChaos(options: ChaosOptions): Promise<Outcome> {
	const { seed, onProgress = () => {} } = options;
	onProgress("starting the stack");
	const victims = await startVictims(options.dataDir);
	try {
		const { stack } = victims;
		const load = await startLoad(stack.urls, stack.admin.token, seed);
		const killed = await killUnder(load, victims, options);
		onProgress("waiting until all is in Postgres");
		const verdict = await whenMoved(victims, load);
		const { signatures, keys, answers } = load;
		return { ...verdict, signatures: signatures.length, keys: keys.length, killed, answers };
	} finally {
		await victims.stop();
	}
}

/** Whatever comes of it, nothing is asked for any more in the end. */
async function killUnder(load: Load, victims: Victims, options: ChaosOptions): Promise<Kill[]> {
	try {
		return await killAll(victims, load, options);
	} finally {
		options.onProgress?.("ending what is under way");
		await victims.allUp();
		await load.stop(options.patienceMs);
	}
}

async function killAll(victims: Victims, load: Load, options: ChaosOptions): Promise<Kill[]> {
	const { kills, seed, onProgress, signal } = options;
	const schedule = killSchedule(seed, kills, victims.names);
	await sleep(warmMs, undefined, { signal });
	for (const [index, kill] of schedule.entries()) {
		await sleep(kill.afterMs, undefined, { signal });
		const { signatures } = load;
		onProgress?.(`kill ${index + 1} of ${kills}: ${kill.victim}; ${signatures.length} signatures`);
		await victims.kill(kill);
	}
	return schedule;
}

/** An object moves records in their order: when the last one is there, all are. */
async function whenMoved({ stack }: Victims, load: Load): Promise<Verdict> {
	const database = new pg.Client(stack.databaseUrl);
	await database.connect();
	try {
		// Changes whose requests were cut off before they brought their records: a job does, a minute later.
		await database.query("update audit_outbox set created_at = created_at - interval '2 minutes'");
		await stack.scheduled(cron, Date.now());
		const last = await load.signLast();
		const end = performance.now() + movedTimeoutMs;
		const query = "select 1 from audit_events where signature = decode($1, 'hex')";
		while ((await database.query(query, [last])).rowCount === 0) {
			if (performance.now() > end) throw new Error("the records do not come to Postgres");
			await sleep(pollMs);
		}
		return await judge(database, load);
	} finally {
		await database.end();
	}
}
