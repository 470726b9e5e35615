import { hashToken } from "../auth/tokens.ts";
import { insertBenchmarkToken } from "../db/benchmarks.ts";
import type { Database } from "../db/client.ts";
import { tenantExists } from "../db/tenants.ts";
import { toBase64Url, withLengths } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { KeyEncryptionKey } from "../lib/keks.ts";
import type { Random } from "../lib/random.ts";
import { uuidv7 } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import type { MeasuredRoute } from "./figures.ts";
import type { Subject } from "./measure.ts";
import type { ProbeRequest, ProbeRpc } from "./probe.ts";

/** Made by a migration: its buckets, its key and its audit log are nobody else's. */
export const benchmarkTenant = "edgesign-benchmark";
const keyName = "benchmark";
const message = "aGVsbG8=";

export interface TargetServices {
	readonly probe: ProbeRpc;
	readonly db: Database;
	readonly redis: { ping(): Promise<unknown> };
	readonly coordinator: { term(tenant: string, configVersion: number): Promise<unknown> };
	readonly kek: KeyEncryptionKey;
	readonly clock: Clock;
	readonly random: Random;
}

/** The deployed service as the tenant of the benchmarks calls it. */
export function createTarget(services: TargetServices): Subject {
	const { probe, db, redis, coordinator } = services;
	let requests: Readonly<Record<MeasuredRoute, ProbeRequest>> | null = null;
	return {
		async prepare() {
			requests ??= await prepareRequests(services);
		},
		async request(route, count, atOnce) {
			if (!requests) throw new Error("the benchmark's key is not there");
			const refusal = await probe.repeat(requests[route], count, atOnce);
			if (refusal) throw new Error(`${route} answered ${refusal.status}`);
		},
		ask: {
			postgres: () => tenantExists(db, benchmarkTenant),
			redis: () => redis.ping(),
			// Version 0: the tenant has no configuration of its own, so none is sent.
			durableObject: () => coordinator.term(benchmarkTenant, 0),
		},
		heldBytes: () => probe.heldBytes(),
	};
}

async function prepareRequests(services: TargetServices) {
	const token = await tokenUnder(services.kek);
	const send = (method: "GET" | "POST", path: string, json?: object): ProbeRequest => ({
		method,
		path,
		headers: {
			authorization: `Bearer ${token}`,
			"content-type": "application/json",
			// In the records of its signatures, and for limits that go by address.
			"cf-connecting-ip": benchmarkTenant,
		},
		body: json ? JSON.stringify(json) : null,
	});
	const key = `/v1/keys/${keyName}`;
	const sign = send("POST", `${key}/sign`, { message });
	const create = send("POST", "/v1/keys", { name: keyName, algorithm: "Ed25519" });
	const signature = await firstSignature(services, token, sign, create);
	return {
		sign,
		verify: send("POST", `${key}/verify`, { message, signature }),
		getKey: send("GET", key),
		getJwks: send("GET", `/t/${benchmarkTenant}/.well-known/jwks.json`),
	};
}

/** Makes the token and the key where they are not there: once, after the first deployment or a new key-encryption key. */
async function firstSignature(
	{ probe, db, clock, random }: TargetServices,
	token: string,
	sign: ProbeRequest,
	create: ProbeRequest,
): Promise<string> {
	// Before anyone asks for it: that there is no such token would be remembered for a while.
	const id = uuidv7(clock, random);
	await insertBenchmarkToken(db, benchmarkTenant, id, hashToken(token), keyName);
	let answer = await probe.answer(sign);
	if (answer.status === 404) {
		await probe.answer(create);
		answer = await probe.answer(sign);
	}
	if (answer.status !== 200) throw new Error(`the benchmark's first signature: ${answer.status}`);
	return (JSON.parse(answer.text) as { signature: string }).signature;
}

/**
 * Derived from a key-encryption key (HKDF with SHA-256, RFC 5869): whoever has that key has it, and
 * there is none to store or to find. It is good for one key of a tenant that has nothing else.
 */
async function tokenUnder({ id, bytes }: KeyEncryptionKey): Promise<string> {
	const base = await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveBits"]);
	const info = withLengths(["edgesign-benchmark-token-v1", id]);
	const salt = new Uint8Array();
	const derivation = { name: "HKDF", hash: "SHA-256", salt, info };
	const secret = await crypto.subtle.deriveBits(derivation, base, 8 * limits.benchmarkTokenBytes);
	return `es_${benchmarkTenant}_${toBase64Url(new Uint8Array(secret))}`;
}
