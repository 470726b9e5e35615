/**
 * `npm run chaos [-- --kills N --seed S]`: kills workerd, PostgreSQL and Redis under load, at moments
 * that the seed decides, and looks whether the audit log has every signature that was given out once.
 */
import { randomInt } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { wholeNumber } from "../../local/options.ts";
import { Problem, runCommand } from "../../local/problem.ts";
import { onEndRequest } from "../../local/signals.ts";
import { type Outcome, runChaos } from "./chaos.ts";

const usage = `npm run chaos [-- --kills N] [--seed S]

Signs and changes keys on the whole stack while workerd, PostgreSQL and Redis are killed with SIGKILL
and come back; then each signature that was given out must have one record, and every chain must hold.
  --kills N  how many times one of them is killed; 100 by default
  --seed S   who is killed when, and what is asked for; drawn and printed when it is left out`;

const killsMax = 10_000;
const seedMax = 999_999_999;
const patienceMs = 35_000;
const shownMax = 5;

async function main(args: string[]): Promise<void> {
	const { values } = parseArgs({
		args,
		options: { kills: { type: "string", default: "100" }, seed: { type: "string" } },
	});
	const kills = wholeNumber("--kills", values.kills, 1, killsMax);
	const seed = wholeNumber("--seed", values.seed ?? String(randomInt(seedMax)), 0, seedMax);
	console.log(`npm run chaos -- --kills ${kills} --seed ${seed}`);
	const ending = new AbortController();
	onEndRequest(() => ending.abort(new Problem("stopped before the end")));
	const dataDir = await mkdtemp(join(tmpdir(), "edgesign-chaos-"));
	const begun = performance.now();
	const onProgress = (line: string) => showProgress(`${seconds(begun)} s  ${line}`);
	try {
		const { signal } = ending;
		report(await runChaos({ kills, seed, dataDir, patienceMs, onProgress, signal }), begun);
	} catch (error) {
		ending.signal.throwIfAborted();
		throw error;
	} finally {
		showProgress("");
		await rm(dataDir, { recursive: true, force: true });
	}
}

function seconds(since: number): number {
	return Math.round((performance.now() - since) / 1000);
}

/** One line that is written over; only where a person looks on. */
function showProgress(line: string): void {
	if (process.stderr.isTTY) process.stderr.write(`\r\x1b[2K${line.slice(0, 100)}`);
}

/** @throws Problem when something is wrong */
function report({ problems, ...outcome }: Outcome, begun: number): void {
	showProgress("");
	const { signatures, keys, records, killed, answers } = outcome;
	const times = Map.groupBy(killed, ({ victim }) => victim);
	const victims = [...times].map(([victim, { length }]) => `${victim} ${length}`).sort();
	const statuses = [...answers].sort().map(([status, count]) => `${status || "none"} ${count}`);
	console.log(`killed: ${victims.join(", ")}; in ${seconds(begun)} s`);
	console.log(`answers by status: ${statuses.join(", ")}`);
	console.log(`given out: ${signatures} signatures, ${keys} keys; in the log: ${records} records`);
	for (const [problem, found] of Object.entries(problems)) {
		console.log(`${problem}: ${found.length}`);
		for (const one of found.slice(0, shownMax)) console.log(`    ${one}`);
	}
	const wrong = Object.values(problems).filter(({ length }) => length > 0);
	if (wrong.length > 0) throw new Problem("the audit log does not have what was given out");
}

await runCommand(main, usage);
