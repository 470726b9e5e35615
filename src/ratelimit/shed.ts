import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import * as limits from "../limits.ts";
import type { PriorityClass } from "./policy.ts";

/** How much worse it gets in each interval with trouble, and better in each one without. */
const rise = 0.1;
const fall = 0.02;

/**
 * Refuses part of the less important work while the isolate or what it depends on is overloaded.
 * The part grows by steps and shrinks by smaller ones, so that it does not flap: low operations go
 * first, normal ones only when all of the low ones are refused, critical ones never.
 *
 * One slow answer is no overload: a cold start gives one. What counts is trouble in several intervals,
 * with none between them in which the answers were good.
 */
export class Shedder {
	readonly #clock: Clock;
	readonly #random: Random;
	#good = 0;
	#bad = 0;
	/** Troubled intervals since the last good one. */
	#troubled = 0;
	/** Intervals since anything was reported. */
	#silent = 0;
	#inFlight = 0;
	#begun = 0;
	#level = 0;
	#decidedAt = 0;
	#isPressed = false;

	constructor(clock: Clock, random: Random) {
		this.#clock = clock;
		this.#random = random;
	}

	/** 0 when nothing is refused, 0.5 when all low operations are, 1 when all normal ones are too. */
	get level(): number {
		this.#decide();
		return this.#isPressed ? 1 : this.#level;
	}

	/** The isolate runs out of memory, or does no more: that can not wait for the next interval. */
	press(isPressed: boolean): void {
		this.#isPressed = isPressed;
	}

	/** A dependency answered well, or slowly, or not at all. */
	report(outcome: "ok" | "slow" | "failed"): void {
		this.#decide();
		if (outcome === "ok") this.#good++;
		else this.#bad++;
	}

	/** Requests of this isolate so far. */
	get begun(): number {
		return this.#begun;
	}

	/** Requests of this isolate that are not answered yet. */
	get inFlight(): number {
		return this.#inFlight;
	}

	started(): void {
		this.#begun++;
		this.#inFlight++;
	}

	ended(): void {
		this.#inFlight--;
	}

	refuses(priority: PriorityClass): boolean {
		if (priority === "critical") return false;
		const { level } = this;
		if (level === 0) return false;
		const part = priority === "low" ? 2 * level : 2 * level - 1;
		return this.#draw() < part;
	}

	/** One step for each interval that has passed; without a sign of trouble it is a step down. */
	#decide(): void {
		const now = this.#clock();
		const intervals = Math.floor((now - this.#decidedAt) / limits.shedIntervalMs);
		if (intervals < 1) return;
		const isOverloaded = this.#isTroubleLasting() || this.#inFlight > limits.backlogRequests;
		if (isOverloaded) this.#level = Math.min(1, this.#level + rise);
		// Every sign was of the first of them: a report ends the interval before it.
		const calm = Math.min(isOverloaded ? intervals - 1 : intervals, 1 / fall);
		this.#level = Math.max(0, this.#level - fall * calm);
		const wasSilent = this.#good + this.#bad === 0;
		this.#silent = wasSilent ? this.#silent + intervals : intervals - 1;
		this.#good = 0;
		this.#bad = 0;
		this.#decidedAt = now;
	}

	/** Whether the interval was troubled, and enough of those before it. */
	#isTroubleLasting(): boolean {
		if (this.#silent > limits.shedSilentIntervals) this.#troubled = 0;
		const isTroubled = this.#bad > 0 && this.#bad >= this.#good;
		if (isTroubled) this.#troubled++;
		else if (this.#good > 0) this.#troubled = 0;
		return isTroubled && this.#troubled >= limits.shedTroubledIntervals;
	}

	#draw(): number {
		const [high = 0, low = 0] = this.#random(2);
		return (high * 256 + low) / 65_536;
	}
}
