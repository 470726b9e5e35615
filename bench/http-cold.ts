import { join } from "node:path";
import { type Figure, timeFigure } from "./figures.ts";
import type { Plan } from "./plan.ts";
import { type HttpBench, sampleMessage } from "./service.ts";
import { median, medianInterval, pairedRatio } from "./stats.ts";
import {
	type BeginRequest,
	type Calls,
	type TierAnswer,
	type TierRequest,
	tiers,
} from "./worker/cold/messages.ts";
import type { BenchWorker } from "./workers.ts";

const main = join(import.meta.dirname, "worker", "cold", "index.ts");
/** As many as one isolate is given with its first reading, and that reading's own. */
const keys = Array.from({ length: 16 }, (_, number) => `bench-cold-${number}`);
const roundSeconds = 1;
const roundsMin = 8; // fewer can not give an interval of 95 %
const unmeasuredRounds = 2;
const tierRounds = 12;
/** About 20 ms of readings: the runtime's clock has whole milliseconds. */
const tierTimes = {
	memory: 200_000,
	redis: 20,
	object: 100,
	postgres: 20,
	document: 500,
	platform: 40,
} as const;

const states = ["nobody-knows", "redis-knows", "warm"] as const;
type State = (typeof states)[number];
const sides = ["warmed", "unwarmed"] as const;
type Side = (typeof sides)[number];

/** What a round found: the time of the first request to each key, in the keys' order, and what was asked for. */
interface Passed {
	readonly milliseconds: readonly number[];
	readonly calls: Calls;
}

type Rounds = Readonly<Record<State, Readonly<Record<Side, Passed[]>>>>;

/**
 * The first request to each of a tenant's hot keys in an isolate that begins anew, one after the other, with
 * what comes along with the first reading and without: while neither Redis nor the tenant's object knows
 * anything, and while Redis does; then the second request to each.
 */
export async function measureCold(
	plan: Plan,
	{ service, startVariant, adminToken }: HttpBench,
): Promise<void> {
	plan.progress("bundling the isolate that begins anew");
	for (const name of keys) await service.post("/v1/keys", { name, algorithm: "Ed25519" });
	const worker = await startVariant("cold", { main });
	const asker = { plan, worker, token: adminToken };
	const rounds = await measureRounds(asker);
	for (const state of states)
		for (const figure of figuresOf(state, rounds[state])) plan.done(figure);
	await measureTiers(asker);
}

interface Asker {
	readonly plan: Plan;
	readonly worker: BenchWorker;
	readonly token: string;
}

async function measureRounds(asker: Asker): Promise<Rounds> {
	const { plan } = asker;
	const count = Math.max(roundsMin, Math.round(plan.seconds.http / roundSeconds));
	const newSides = () => ({ warmed: [], unwarmed: [] });
	const rounds: Rounds = {
		"nobody-knows": newSides(),
		"redis-knows": newSides(),
		warm: newSides(),
	};
	for (let round = -unmeasuredRounds; round < count; round++) {
		plan.progress(`cold: round ${round + 1} of ${count}`);
		for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
			const found = await passAll(asker, side === "warmed");
			if (round < 0) continue;
			for (const state of states) rounds[state][side].push(found[state]);
		}
	}
	return rounds;
}

async function passAll(asker: Asker, warming: boolean): Promise<Record<State, Passed>> {
	await begin(asker, { warming, moved: true });
	const nobodyKnows = await pass(asker);
	await begin(asker, { warming, moved: false });
	const redisKnows = await pass(asker);
	return { "nobody-knows": nobodyKnows, "redis-knows": redisKnows, warm: await pass(asker) };
}

async function pass(asker: Asker): Promise<Passed> {
	const before = await ask<Calls>(asker, "/calls");
	const milliseconds: number[] = [];
	for (const key of keys) {
		const start = performance.now();
		await ask(asker, `/v1/keys/${key}/sign`, { message: sampleMessage });
		milliseconds.push(performance.now() - start);
	}
	const after = await ask<Calls>(asker, "/calls");
	const since = (name: keyof Calls) => after[name] - before[name];
	const calls = {
		postgres: since("postgres"),
		redis: since("redis"),
		keyMisses: since("keyMisses"),
	};
	return { milliseconds, calls };
}

/** Of the first key, which nobody can have warmed, of the others, and of all. */
function figuresOf(state: State, rounds: Rounds[State]): Figure[] {
	const parts = {
		first: ({ milliseconds }: Passed) => milliseconds.slice(0, 1),
		"next-keys": ({ milliseconds }: Passed) => milliseconds.slice(1),
		all: ({ milliseconds }: Passed) => milliseconds,
	};
	return Object.entries(parts).flatMap(([part, timesOf]) => {
		const line = (side: Side): Figure => {
			const times = rounds[side].flatMap(timesOf);
			const id = `cold/${state}/${part}${side === "warmed" ? "" : "/unwarmed"}`;
			const notes = part === "all" ? notesOn(rounds[side]) : [];
			return timeFigure({ id, notes }, times, ["p50", "p95"]);
		};
		const medians = (side: Side) => rounds[side].map((round) => median(timesOf(round)));
		const ratio = pairedRatio(medians("unwarmed"), medians("warmed"));
		const beside = { name: "unwarmed", value: median(medians("unwarmed")), ratio };
		return [{ ...line("warmed"), beside }, line("unwarmed")];
	});
}

function notesOn(rounds: readonly Passed[]): string[] {
	const most = (name: keyof Calls) => Math.max(...rounds.map(({ calls }) => calls[name]));
	const usual = (name: keyof Calls) => median(rounds.map(({ calls }) => calls[name]));
	const told = (name: keyof Calls, what: string) =>
		`${usual(name)} ${what} (at most ${most(name)})`;
	return [
		`for ${keys.length} keys: ${told("postgres", "round trips to Postgres")}, ${told("redis", "to Redis")}, ${told("keyMisses", "keys not in memory")}`,
	];
}

/** One key read again and again from one tier, the tiers in turn. */
async function measureTiers(asker: Asker): Promise<void> {
	const { plan } = asker;
	const [key = ""] = keys;
	const times = new Map(tiers.map((tier) => [tier, [] as number[]]));
	await begin(asker, { warming: true, moved: false });
	await pass(asker);
	for (let round = -unmeasuredRounds; round < tierRounds; round++) {
		plan.progress(`cold/tier: round ${round + 1} of ${tierRounds}`);
		await ask(asker, `/v1/keys/${key}/sign`, { message: sampleMessage }); // it renews the lease
		for (const tier of round % 2 === 0 ? tiers : tiers.toReversed()) {
			const request: TierRequest = { tier, key, times: tierTimes[tier] };
			const { microseconds } = await ask<TierAnswer>(asker, "/tier", request);
			if (round >= 0) times.get(tier)?.push(microseconds);
		}
	}
	for (const [tier, microseconds] of times) {
		const interval = medianInterval(microseconds);
		const { median: value, count: samples } = interval;
		const line = { id: `cold/tier/${tier}`, unit: "µs", value, samples, interval } as const;
		const memory = tier === "platform" ? (times.get("document") ?? []) : null;
		plan.done(memory ? { ...line, beside: besideMemory(memory, microseconds) } : line);
	}
}

function besideMemory(memory: readonly number[], platform: readonly number[]) {
	const ratio = pairedRatio(memory, platform);
	return { name: "from memory", value: median(memory), ratio };
}

function begin(asker: Asker, request: BeginRequest): Promise<unknown> {
	return ask(asker, "/begin", request);
}

async function ask<Answer>({ plan, worker, token }: Asker, path: string, json?: object) {
	const response = await fetch(`${worker.url}${path}`, {
		headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
		signal: plan.signal,
		...(json && { method: "POST", body: JSON.stringify(json) }),
	});
	const text = await response.text();
	if (!response.ok) throw new Error(`${path} answered ${response.status}: ${text}`);
	return JSON.parse(text) as Answer;
}
