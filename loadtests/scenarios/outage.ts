import { setTimeout as sleep } from "node:timers/promises";
import { withDatabase } from "../../local/database.ts";
import { Problem } from "../../local/problem.ts";
import { type Fault, faultsOf } from "../faults.ts";
import type { Running, Scenario, Traffic } from "../scenario.ts";
import { prepareEveryday } from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

const hourSeconds = 3600;
const usualSeconds = 30;
/** From the end of the load until no more records come. */
const drainTimeoutMs = 120_000;
const pollMs = 500;
const mix: Traffic = { sign: 1 };

export const outage: Scenario = {
	name: "outage",
	summary: "Postgres hangs for an hour: does signing go on, and has it every record afterwards?",
	sizes: { rate: 150, seconds: hourSeconds, users: 0 },
	figures: { unmoved: "number", drained: "time" },
	thresholds: ["errors<0.1% @before", "errors<0.1% @away", "errors<0.1% @back", "unmoved<1"],
	phases: ["before", "away", "back"],
	needsStack: true,
	prepare: prepareEveryday,
	async run(running) {
		const { sizes, load, target } = running;
		const hang = (await faultsOf(target)).find(({ name }) => name === "postgres-hangs");
		if (!hang) throw new Problem("Postgres can not be made to hang here");
		const loads = [{ rate: sizes.rate, mix }];
		const before = await recordsOf(running);
		const outcomes = await load([
			warmUp(sizes.rate, mix),
			{ name: "before", seconds: usualSeconds, loads },
			{ name: "away", seconds: sizes.seconds, loads, onBegin: () => take(running, hang) },
			{ name: "back", seconds: usualSeconds, loads, onBegin: () => giveBack(running, hang) },
		]).finally(() => hang.giveBack());
		const signed = outcomes.reduce((sum, { summary }) => sum + summary.right, 0);
		await tell(running, before + signed);
	},
};

function take(running: Running, hang: Fault): void {
	running.mark("Postgres: away");
	hang.take();
}

function giveBack(running: Running, hang: Fault): void {
	running.mark("Postgres: back");
	void hang.giveBack();
}

/** Of all signatures, in Postgres. */
async function recordsOf({ target }: Running): Promise<number> {
	const { stack } = target;
	if (!stack) throw new Problem("the database of a stack of its own is needed");
	return withDatabase(stack.databaseUrl, async (client) => {
		const count = "select count(*)::int as n from audit_events where action = 'sign'";
		return (await client.query(count)).rows[0].n;
	});
}

/** Waits until as many records are there as signatures were told of. */
async function tell(running: Running, expected: number): Promise<void> {
	const start = running.now();
	let found = await recordsOf(running);
	while (found < expected && running.now() - start < drainTimeoutMs) {
		running.signal.throwIfAborted();
		await sleep(pollMs);
		found = await recordsOf(running);
	}
	running.figure({
		name: "unmoved",
		value: Math.max(0, expected - found),
		dimension: "number",
		text: "signatures that were told of and have no record in Postgres",
	});
	running.figure({
		name: "drained",
		value: found < expected ? Number.NaN : running.now() - start,
		dimension: "time",
		text: "from the end of the load until Postgres had every record",
	});
}
