import { defaultConfig, type TenantConfig } from "../config/schema.ts";
import * as limits from "../limits.ts";
import type { LaneState } from "./lane.ts";

/** What was asked of a coordinator. */
export interface Question {
	/** Counted: they may overtake each other. */
	readonly number: number;
	readonly since: number;
	/** The answers that had come when it was asked: it tells of the tokens that those brought. */
	readonly answersBefore: number;
}

/** What an isolate has of one tenant. */
export interface TenantState {
	readonly holder: string;
	readonly lanes: Map<string, LaneState>;
	lanesMade: number;
	epoch: number;
	endsAt: number;
	/** When it was ended early: what was asked for before tells nothing any more. */
	endedAt: number;
	/** The epoch of a lease that was ended early: it is over, whoever still lends it. */
	endedEpoch: number;
	/** Another one whenever the lease is ended early, and for no other state. */
	life: number;
	/** A change was announced, by what was said to the youngest of the questions with an answer under this epoch. */
	isChanging: boolean;
	/** The number of that question. */
	newestAnswer: number;
	renewAt: number;
	configVersion: number;
	config: TenantConfig;
	/** The latest question under way, if any; for ever where its request was cut off. */
	asking: Question | null;
	questions: number;
	answers: number;
	/** All questions that may still be answered. What the others bring is not taken any more. */
	readonly unanswered: Set<Question>;
	failedUntil: number;
}

/** Nothing is leased yet. */
export function freshTenant(holder: string, life: number): TenantState {
	return {
		holder,
		lanes: new Map(),
		lanesMade: 0,
		epoch: 0,
		endsAt: 0,
		endedAt: Number.NEGATIVE_INFINITY,
		endedEpoch: Number.NEGATIVE_INFINITY,
		life,
		isChanging: false,
		newestAnswer: 0,
		renewAt: 0,
		configVersion: -1,
		config: defaultConfig,
		asking: null,
		questions: 0,
		answers: 0,
		unanswered: new Set(),
		failedUntil: 0,
	};
}

/** Makes room for other lanes: those go that nobody waits for, first those without a lease. */
export function dropIdle({ lanes }: TenantState, now: number): void {
	const drop = (isIdle: (of: LaneState) => boolean) => {
		for (const [id, of] of lanes) {
			if (lanes.size <= limits.lanesPerTenant / 2) return;
			if (of.waiting === 0 && isIdle(of)) lanes.delete(id);
		}
	};
	drop((of) => of.endsAt <= now);
	drop(() => true);
}

/** Or has just failed to. */
export function isAsking({ asking, failedUntil }: TenantState, now: number): boolean {
	return failedUntil > now || (asking !== null && now - asking.since < limits.leaseTimeoutMs);
}

/**
 * One that never had a lease, as names have that somebody made up, first of those that ask for none; else one whose
 * lease has ended; else the one that is here for longest. Never `but`.
 */
export function leastNeeded(
	tenants: ReadonlyMap<string, TenantState>,
	now: number,
	but?: TenantState,
): string | undefined {
	let [stranger, ended, longest]: (string | undefined)[] = [];
	for (const [tenant, state] of tenants) {
		if (state === but) continue;
		const isIdle = state.endsAt <= now && !isAsking(state, now);
		const isStranger = state.epoch === 0;
		if (isStranger && isIdle) return tenant;
		if (isStranger) stranger ??= tenant;
		if (isIdle) ended ??= tenant;
		longest ??= tenant;
	}
	return stranger ?? ended ?? longest;
}

/** Whether the coordinator can be told that all it granted has come or never will. */
export function noneUnanswered({ unanswered }: TenantState, now: number): boolean {
	for (const question of unanswered) {
		if (now - question.since >= limits.leaseTtlMs) unanswered.delete(question);
	}
	return unanswered.size === 0;
}
