import type { Clock } from "../lib/clock.ts";
import { within } from "../lib/within.ts";
import * as limits from "../limits.ts";
import {
	type FigureName,
	type Figures,
	type MeasuredRoute,
	type Measurement,
	measuredRoutes,
	median,
	type Part,
	parts,
} from "./figures.ts";

/** What a measurement works with: each call leaves the isolate, or the clock would stand still meanwhile. */
export interface Subject {
	/** Makes ready what the requests need. */
	prepare(): Promise<void>;
	/** Makes `count` requests of a route, `atOnce` at the same time. @throws when one is refused */
	request(route: MeasuredRoute, count: number, atOnce: number): Promise<void>;
	/** One small question to a part. */
	readonly ask: Readonly<Record<Part, () => Promise<unknown>>>;
	/** Bytes that the isolate counts as held. */
	heldBytes(): Promise<number>;
}

/** Requests of a call: those that write a record, or ask Postgres, are fewer. */
const requestsOf: Readonly<Record<MeasuredRoute, number>> = {
	sign: limits.benchmarkRequests,
	verify: limits.benchmarkCheapRequests,
	getKey: limits.benchmarkRequests,
	getJwks: limits.benchmarkCheapRequests,
};

/**
 * Measures the deployed service from outside of its isolate. A deployed Worker's clock moves only when
 * something comes in from outside, so the time is taken around a call that does several operations.
 * Takes `benchmarkRunMs` and one call's time-out at the most: what has no time left is null.
 */
export async function measure(subject: Subject, clock: Clock): Promise<Measurement> {
	const until = clock() + limits.benchmarkRunMs;
	const unreachable: FigureName[] = [];

	/** Milliseconds a call: the median of several, of as many as there is time for. */
	async function timed(
		name: FigureName,
		call: () => Promise<unknown>,
		rounds: number = limits.benchmarkRounds,
	): Promise<number | null> {
		const begun = clock();
		const times: number[] = [];
		let failures = 0;
		while (times.length < rounds) {
			const now = clock();
			if (now >= until || (times.length > 0 && now - begun >= limits.benchmarkFigureMs)) break;
			try {
				await inTime(call());
				times.push(clock() - now);
			} catch {
				if (++failures < limits.benchmarkAttempts) continue;
				unreachable.push(name);
				return null;
			}
		}
		return median(times);
	}

	async function route(name: MeasuredRoute) {
		const count = requestsOf[name];
		const call = () => subject.request(name, count, 1);
		return perOne(await timed(`responseMs.${name}`, call), count);
	}

	async function part(name: Part) {
		const count = limits.benchmarkRequests;
		const call = async () => {
			for (let i = 0; i < count; i++) await subject.ask[name]();
		};
		return perOne(await timed(`partsMs.${name}`, call), count);
	}

	// Where this fails the requests do too, and tell which of them.
	await inTime(subject.prepare()).catch(() => {});
	const burst = limits.benchmarkBurst;
	const atOnce = limits.benchmarkBurstAtOnce;
	const partsMs = await eachOf(parts, part);
	const responseMs = await eachOf(measuredRoutes, route);
	const sendBurst = () => subject.request("verify", burst, atOnce);
	const burstMs = await timed("throughputRps", sendBurst, limits.benchmarkBurstRounds);
	const figures: Figures = {
		responseMs,
		partsMs,
		throughputRps: burstMs === null ? null : round((1000 * burst) / Math.max(burstMs, 1)),
		memoryMb: await memory(subject, unreachable),
	};
	return { figures, unreachable };
}

async function memory(subject: Subject, unreachable: FigureName[]): Promise<number | null> {
	try {
		return round((await inTime(subject.heldBytes())) / 2 ** 20);
	} catch {
		unreachable.push("memoryMb");
		return null;
	}
}

function inTime<T>(call: Promise<T>): Promise<T> {
	return within(call, limits.benchmarkCallMs, () => {
		throw new Error("no answer in time");
	});
}

/** One after the other: what is measured at the same time measures itself. */
async function eachOf<Name extends string>(
	names: readonly Name[],
	value: (name: Name) => Promise<number | null>,
): Promise<Record<Name, number | null>> {
	const values: Partial<Record<Name, number | null>> = {};
	for (const name of names) values[name] = await value(name);
	return values as Record<Name, number | null>;
}

function perOne(milliseconds: number | null, count: number): number | null {
	return milliseconds === null ? null : round(milliseconds / count);
}

/** More digits than anyone's clock has would only be noise. */
function round(value: number): number {
	return Math.round(value * 1000) / 1000;
}
