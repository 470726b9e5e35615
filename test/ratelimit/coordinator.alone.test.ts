import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { defaultConfig, type TenantConfig } from "../../src/config/schema.ts";
import * as limits from "../../src/limits.ts";
import {
	type CoordinatorRpc,
	CoordinatorUnavailable,
	coordinatorName,
	createCoordinators,
} from "../../src/ratelimit/coordinator.ts";
import type { LeaseAnswer, LeaseAsk } from "../../src/ratelimit/messages.ts";

const lease: LeaseAnswer = {
	kind: "lease",
	epoch: 5,
	isChanging: false,
	ttlMs: 2_000,
	configVersion: 0,
	config: null,
	lanes: [],
};

/** A namespace whose objects do what is given, and the names that were asked for. */
function namespaceOf(rpc: Partial<CoordinatorRpc>) {
	const names: string[] = [];
	const namespace = {
		getByName(name: string) {
			names.push(name);
			return rpc;
		},
	} as unknown as DurableObjectNamespace;
	return { names, coordinators: createCoordinators(namespace) };
}

function sharded(coordinator_shards: number): TenantConfig {
	return {
		...defaultConfig,
		scaling_config: { ...defaultConfig.scaling_config, coordinator_shards },
	};
}

const askBy = (holder: string) => ({ holder, configVersion: -1, lanes: [] }) as unknown as LeaseAsk;
const never = () => new Promise<never>(() => {});

describe("the name of a coordinator", () => {
	it("is the tenant's for the first shard, and no tenant's for another", () => {
		expect(coordinatorName("acme", 0)).toBe("acme");
		expect(coordinatorName("acme", 3)).toBe("acme#3");
	});
});

describe("a question to a coordinator", () => {
	it("goes to the one shard of the holder, which is told which one it is", async () => {
		const told: unknown[] = [];
		const { names, coordinators } = namespaceOf({
			async lease(tenant, shard) {
				told.push([tenant, shard]);
				return lease;
			},
		});
		for (const holder of ["00000000aaaaaaaa", "00000001aaaaaaaa", "ffffffffaaaaaaaa"]) {
			expect(await coordinators.ask("acme", sharded(4), askBy(holder))).toBe(lease);
		}
		expect(names).toEqual(["acme", "acme#1", "acme#3"]);
		expect(told).toEqual([
			["acme", 0],
			["acme", 1],
			["acme", 3],
		]);
	});

	it("goes to the first shard where there is but one, and spreads over all that there are", async () => {
		const { names, coordinators } = namespaceOf({ lease: async () => lease });
		await coordinators.ask("acme", defaultConfig, askBy("ffffffffaaaaaaaa"));
		expect(names.splice(0)).toEqual(["acme"]);
		for (let i = 0; i < 64; i++) {
			await coordinators.ask(
				"acme",
				sharded(16),
				askBy(`${(i * 2654435).toString(16).padStart(8, "0")}00`),
			);
		}
		expect(new Set(names).size).toBe(16);
	});

	it("that finds the object overloaded is answered so, not failed: it must not be asked again", async () => {
		const overloaded = Object.assign(new Error("too much to do"), { overloaded: true });
		const { coordinators } = namespaceOf({ lease: () => Promise.reject(overloaded) });
		expect(await coordinators.ask("acme", defaultConfig, askBy("00"))).toEqual({
			kind: "overloaded",
		});
	});

	it.each([
		["an error", new Error("secret detail")],
		["one that may be tried again", Object.assign(new Error("reset"), { overloaded: false })],
		["what is no error", "secret detail"],
	])("that fails with %s is unavailable, and tells nothing of it", async (_, error) => {
		const { coordinators } = namespaceOf({ lease: () => Promise.reject(error) });
		const failed = coordinators.ask("acme", defaultConfig, askBy("00"));
		await expect(failed).rejects.toBeInstanceOf(CoordinatorUnavailable);
		await expect(failed).rejects.not.toThrow("secret detail");
	});
});

// Alone: timers are counted here, and an object that another file left at work may set some in an isolate shared with it.
describe("a call that is not answered", () => {
	beforeEach(() => {
		vi.useFakeTimers();
	});
	afterEach(() => {
		vi.useRealTimers();
	});

	const { coordinators } = namespaceOf({
		lease: never,
		announce: never,
		confirm: never,
		withdraw: never,
	});

	it.each<[string, number, () => Promise<unknown>]>([
		[
			"for a lease",
			limits.leaseTimeoutMs,
			() => coordinators.ask("acme", defaultConfig, askBy("00")),
		],
		["to announce", limits.changeCallTimeoutMs, () => coordinators.announce("acme", "state")],
		["to confirm", limits.changeCallTimeoutMs, () => coordinators.confirm("acme", "change")],
		["to withdraw", limits.changeCallTimeoutMs, () => coordinators.withdraw("acme", "change")],
	])("%s ends at its time and not before", async (_, timeoutMs, call) => {
		const ended = vi.fn();
		const settled = call().catch(ended);
		await vi.advanceTimersByTimeAsync(timeoutMs - 1);
		expect(ended).not.toHaveBeenCalled();
		await vi.advanceTimersByTimeAsync(1);
		await settled;
		expect(ended).toHaveBeenCalledExactlyOnceWith(expect.any(CoordinatorUnavailable));
	});

	it("leaves no timer behind once it is answered, or has failed", async () => {
		const answering = namespaceOf({
			announce: async () => "change",
			confirm: () => Promise.reject(new Error("reset")),
		}).coordinators;
		expect(await answering.announce("acme", "config")).toBe("change");
		await expect(answering.confirm("acme", "change")).rejects.toThrow(CoordinatorUnavailable);
		expect(vi.getTimerCount()).toBe(0);
	});
});

describe("changes", () => {
	it("are told to the first shard, however many there are", async () => {
		const calls: unknown[] = [];
		const { names, coordinators } = namespaceOf({
			async announce(...told) {
				calls.push(told);
				return "change";
			},
			async confirm(...told) {
				calls.push(told);
				return { epoch: 1, oldLeasesMs: 12 };
			},
			async withdraw(...told) {
				calls.push(told);
			},
		});
		await coordinators.announce("acme", "config");
		expect(await coordinators.confirm("acme", "change")).toEqual({ epoch: 1, oldLeasesMs: 12 });
		await coordinators.withdraw("acme", "change");
		expect(names).toEqual(["acme", "acme", "acme"]);
		expect(calls).toEqual([
			["acme", "config"],
			["acme", "change"],
			["acme", "change"],
		]);
	});
});
