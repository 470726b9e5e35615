import type { TenantConfig } from "../config/schema.ts";
import type { LoadAsk, LoadReply } from "../coordination/loader.ts";
import { toHex, utf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/sha256.ts";
import { answered } from "../lib/within.ts";
import * as limits from "../limits.ts";
import type { Confirmation, LeaseAnswer, LeaseAsk } from "./messages.ts";

/** What a tenant's coordinator offers by RPC (durable-objects/coordinator.ts). */
export interface CoordinatorRpc {
	lease(tenant: string, shard: number, ask: LeaseAsk): Promise<LeaseAnswer>;
	/** For the other shards of a tenant: epoch and configuration, for as long as a lease. */
	term(tenant: string, configVersion: number): Promise<LeaseAnswer>;
	announce(tenant: string, kind: "state" | "config"): Promise<string>;
	confirm(tenant: string, change: string): Promise<Confirmation>;
	withdraw(tenant: string, change: string): Promise<void>;
	/** Before the first record of a chain of the audit log is durable: so it is known whom to ask for records. */
	chainBegan(place: string, chain: string): Promise<void>;
	/** Rows that many isolates may ask for at once, under the epoch of the asker's lease. */
	load(tenant: string, ask: LoadAsk): Promise<LoadReply>;
	/** Every chain that ever began, in their order. */
	chains(): Promise<ChainPlace[]>;
}

export interface ChainPlace {
	/** Of the chain. */
	readonly id: string;
	/** The name of its object. */
	readonly place: string;
}

/** The coordinator did not answer, in time or at all. */
export class CoordinatorUnavailable extends Error {
	override readonly name = "CoordinatorUnavailable";
}

/** The first shard of a tenant has the tenant's name; it alone decides on the epoch. A tenant's name has no `#`. */
export function coordinatorName(tenant: string, shard: number): string {
	return shard === 0 ? tenant : `${tenant}#${shard}`;
}

/** The coordinators as an isolate calls them: each call has an end, and one way to fail. */
export function createCoordinators(namespace: DurableObjectNamespace) {
	const at = (tenant: string, shard = 0) =>
		namespace.getByName(coordinatorName(tenant, shard)) as unknown as CoordinatorRpc;
	// Objects of their own: whoever shows tokens that nobody has must not keep the one busy that leases.
	const reader = (tenant: string, shard: number) =>
		namespace.getByName(`${tenant}!read${shard}`) as unknown as CoordinatorRpc;
	return {
		ask(tenant: string, config: TenantConfig, ask: LeaseAsk): Promise<LeaseAnswer> {
			const shard = shardOf(ask.holder, config.scaling_config.coordinator_shards);
			const call = at(tenant, shard).lease(tenant, shard, ask).catch(orOverloaded);
			return inTime(call, limits.leaseTimeoutMs);
		},
		term: (tenant: string, configVersion: number) =>
			inTime(at(tenant).term(tenant, configVersion), limits.leaseTimeoutMs),
		announce: (tenant: string, kind: "state" | "config") =>
			inTime(at(tenant).announce(tenant, kind), limits.changeCallTimeoutMs),
		confirm: (tenant: string, change: string) =>
			inTime(at(tenant).confirm(tenant, change), limits.changeCallTimeoutMs),
		withdraw: (tenant: string, change: string) =>
			inTime(at(tenant).withdraw(tenant, change), limits.changeCallTimeoutMs),
		chainBegan: (tenant: string, place: string, chain: string) =>
			inTime(at(tenant).chainBegan(place, chain), limits.auditTimeoutMs),
		/** By name, so that those who ask for the same meet. */
		load(tenant: string, shards: number, ask: LoadAsk) {
			const shard = shardOf(toHex(sha256(utf8(ask.wanted[0]?.name ?? ""))), shards);
			return inTime(reader(tenant, shard).load(tenant, ask), limits.loadTimeoutMs);
		},
		chains: (tenant: string) => inTime(at(tenant).chains(), limits.auditTimeoutMs),
	};
}

/** The platform marks the errors of an object that has too much to do: asking again makes it worse. */
function orOverloaded(error: unknown): LeaseAnswer {
	if (error instanceof Error && "overloaded" in error && error.overloaded === true) {
		return { kind: "overloaded" };
	}
	throw error;
}

/** Holders are random, so they spread by themselves. */
function shardOf(holder: string, shards: number): number {
	return Number.parseInt(holder.slice(0, 8), 16) % shards;
}

/** Never a call that is waited for without an end. */
function inTime<T>(call: Promise<T>, milliseconds: number): Promise<T> {
	return answered(call, milliseconds, CoordinatorUnavailable);
}
