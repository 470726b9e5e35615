import { allows } from "../auth/roles.ts";
import type { Quota, TenantConfig } from "../config/schema.ts";
import type { Role } from "../model.ts";
import type { BucketPolicy } from "./bucket.ts";

/** What comes first when not all can be done: critical goes on while low, then normal, is refused. */
export type PriorityClass = "critical" | "normal" | "low";

/**
 * What a request does, as the limits see it: its class, and what one of it costs in hundredths of a
 * token. A route names its operation; a batch costs its items, a new key what its algorithm costs.
 */
export const operations = {
	sign: { class: "critical", cost: 100 },
	verify: { class: "normal", cost: 50 },
	read: { class: "normal", cost: 20 },
	list: { class: "low", cost: 100 },
	manage: { class: "low", cost: 100 },
	/** Taking a key or a token out of use: never behind anything else. */
	revoke: { class: "critical", cost: 100 },
	/** Reading and changing the configuration: how an admin raises a limit that is used up. */
	configure: { class: "critical", cost: 100 },
} as const satisfies Record<string, { class: PriorityClass; cost: number }>;

export type Operation = keyof typeof operations;

/** What a tenant that is beyond its limits can still do: nothing else draws from their buckets, nor they from others. */
const apart: ReadonlySet<Operation> = new Set(["revoke", "configure"]);

/** Costs and tokens are counted in hundredths everywhere but in the API. */
export const tokenParts = 100;

/** What draws from the same buckets: an operation of a role, of one token where that has a limit of its own. */
export interface Lane {
	/** Unique among the lanes of a tenant. */
	readonly id: string;
	readonly operation: Operation;
	readonly role: Role;
	readonly token: TokenLimit | null;
}

export interface TokenLimit {
	readonly id: string;
	readonly quota: number;
	readonly windowSeconds: number;
}

export function laneOf(operation: Operation, role: Role, token: TokenLimit | null): Lane {
	const id = token ? `${operation} ${role} ${token.id}` : `${operation} ${role}`;
	return { id, operation, role, token };
}

/** A bucket that a lane draws from. The name is what the RateLimit headers call it. */
export interface BucketRule {
	/** Unique among the buckets of a tenant. */
	readonly id: string;
	readonly name: string;
	/** In hundredths of a token. */
	readonly policy: BucketPolicy;
	/** Hundredths of a token that only critical operations may take. */
	readonly reserve: number;
}

/** Every bucket that the lane draws from; `shards` is among how many coordinators they are divided. */
export function rulesFor(lane: Lane, config: TenantConfig, shard: Shard): BucketRule[] {
	const { tenant, operations: byOperation, roles, reserve_percent } = config.limits_config;
	const rules: BucketRule[] = [];
	const add = (id: string, name: string, quota: Quota | null, isShared: boolean) => {
		if (!quota) return;
		const policy = partOf(quota, shard);
		// A bucket that no critical operation draws from has nothing to keep for one.
		const kept = isShared ? Math.floor((policy.quota * reserve_percent) / 100) : 0;
		rules.push({ id, name, policy, reserve: kept });
	};
	const own = lane.token && { quota: lane.token.quota, window_seconds: lane.token.windowSeconds };
	add(lane.operation, lane.operation, byOperation[lane.operation], false);
	if (apart.has(lane.operation) && rules.length > 0) return rules;
	add("tenant", "tenant", tenant, true);
	const signs = allows(lane.role, "sign");
	add(`role ${lane.role}`, lane.role, roles[lane.role], signs);
	if (lane.token) add(`token ${lane.token.id}`, "token", own, signs);
	return rules;
}

export interface Shard {
	readonly index: number;
	readonly count: number;
}

/** The parts of all shards together are the whole, to the hundredth. */
function partOf({ quota, window_seconds }: Quota, { index, count }: Shard): BucketPolicy {
	const parts = quota * tokenParts;
	const part = Math.floor(parts / count) + (index < parts % count ? 1 : 0);
	return { quota: part, windowMs: window_seconds * 1000 };
}

/** Whether a lane may take what is kept back for critical operations. */
export function mayTakeReserve(lane: Lane): boolean {
	return operations[lane.operation].class === "critical";
}
