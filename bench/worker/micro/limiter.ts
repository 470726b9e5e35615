import type { CachedToken } from "../../../src/auth/tokens.ts";
import { hashToken, mintToken } from "../../../src/auth/tokens.ts";
import { memoryStore } from "../../../src/cache/memory.ts";
import { systemClock as clock } from "../../../src/lib/clock.ts";
import { systemRandom as random } from "../../../src/lib/random.ts";
import * as limits from "../../../src/limits.ts";
import { LeaseBook, type LeaseBookOptions } from "../../../src/ratelimit/lease.ts";
import { Shedder } from "../../../src/ratelimit/shed.ts";
import * as limited from "../../../src/routes/admission.ts";
import { jsonResponse } from "../../../src/routes/problem.ts";
import type { GuardedRoute } from "../../../src/routes/route.ts";
import { sign } from "../../../src/routes/signing.ts";
import type { Services } from "../../../src/services.ts";
import * as unlimited from "../unlimited/index.ts";
import type { Side } from "./messages.ts";
import type { Operation } from "./service.ts";

const tenant = "bench";
const caller: CachedToken = {
	tenant,
	tokenId: "bench",
	role: "signer",
	keyPatterns: null,
	rateLimit: null,
	expiresAt: Number.POSITIVE_INFINITY,
};
const quota = 6_000_000;
const answer = {
	signature: "A".repeat(88),
	encoding: "raw",
	keyId: "019a0000-0000-7000-8000-000000000000",
	version: 1,
	algorithm: "Ed25519",
};

/** A coordinator that is near and grants what is wanted. */
const ask: LeaseBookOptions["ask"] = async (_, __, { lanes }) => ({
	kind: "lease",
	epoch: 1,
	isChanging: false,
	ttlMs: limits.leaseTtlMs,
	configVersion: 0,
	config: null,
	lanes: lanes.map(({ lane, need, want }) => ({
		lane: lane.id,
		granted: need + want,
		refusal: null,
		pauseMs: 0,
		limit: {
			name: "sign",
			quota,
			windowSeconds: 60,
			remaining: quota - want,
			resetMs: want,
			most: 100 * quota,
			msPerPart: 600 / quota,
		},
	})),
});

/**
 * What a sign request does for who calls and for its answer, as src/routes/serve.ts does it with a warm
 * isolate, beside the same without limits: the difference is the limiter, without the bytes on the wire.
 */
export async function limiterSides(): Promise<Readonly<Record<Side, Operation>>> {
	const token = mintToken(tenant, random);
	const forever = Number.POSITIVE_INFINITY;
	const bounds = { entries: 1, bytes: 10_000, ttlMs: forever, renewMs: forever };
	const tokenCache = memoryStore<CachedToken>(bounds, { clock, random });
	tokenCache.set(tenant, hashToken(token), caller, 300, tokenCache.now());
	const leases = new LeaseBook({ clock, random, ask, sleep: async () => {}, forgetTenant() {} });
	await leases.term(tenant); // the token's entry holds in the epoch that is known when it is read
	const shedder = new Shedder(clock, random);
	const background = () => {};
	const services = {
		clock,
		random,
		leases,
		shedder,
		tokenCache,
		background,
	} as unknown as Services;
	const raw = new Request("https://bench/", { headers: { Authorization: `Bearer ${token}` } });
	return { service: stepsOf(limited, services, raw), bare: stepsOf(unlimited, services, raw) };
}

function stepsOf(
	{ admit, spend, holds }: Pick<typeof limited, "admit" | "spend" | "holds">,
	services: Services,
	raw: Request,
): Operation {
	const route = sign as GuardedRoute;
	return async () => {
		const meter: limited.Meter = { limit: null };
		services.shedder.started();
		const admitted = await admit(services, raw, meter);
		if (!admitted.ok) throw new Error(admitted.error.code);
		const paid = await spend(services, admitted.value.caller, route, { cost: 100 }, meter);
		if (!paid.ok) throw new Error(paid.error.code);
		for (const _ of ["the body is read", "the answer is there"]) {
			if (!(await holds(services, admitted.value))) throw new Error("the epoch moved");
		}
		services.shedder.ended();
		return jsonResponse(answer, 200, "019a0000-0000-7000-8000-000000000000", meter.limit);
	};
}
