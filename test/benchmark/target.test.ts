import { beforeEach, describe, expect, it } from "vitest";
import { hashToken } from "../../src/auth/tokens.ts";
import type { ProbeRequest, ProbeRpc } from "../../src/benchmark/probe.ts";
import { repeat } from "../../src/benchmark/probe.ts";
import { benchmarkTenant, createTarget } from "../../src/benchmark/target.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import * as limits from "../../src/limits.ts";
import { type OwnSchema, ownSchema } from "../support/schema.ts";

let schema: OwnSchema;
/** What the service was asked for, in order. */
let asked: string[];
let hasKey: boolean;
beforeEach(async () => {
	schema = await ownSchema();
	asked = [];
	hasKey = false;
});

/** A service that knows the tokens of the schema, and has a key when it was made. */
async function answer({ method, path, headers }: ProbeRequest) {
	asked.push(`${method} ${path}`);
	const hash = hashToken((headers.authorization ?? "").slice("Bearer ".length));
	const known = await schema.query(
		"select 1 from tokens where secret_hash = decode($1, 'hex') and revoked_at is null",
		[hash],
	);
	if (known.length === 0) return { status: 401, text: "" };
	if (path === "/v1/keys") hasKey = true;
	return hasKey ? { status: 200, text: '{"signature":"c2ln"}' } : { status: 404, text: "" };
}

const probe: ProbeRpc = { answer, repeat: async () => null, heldBytes: async () => 0 };

const keks = [1, 2].map((value) => ({
	id: `kek-${value}`,
	bytes: new Uint8Array(32).fill(value),
}));

function target(kek = keks[0]) {
	if (!kek) throw new Error("no key-encryption key");
	const { db, redis, coordinator } = schema.services;
	return createTarget({
		probe,
		db,
		redis,
		coordinator,
		kek,
		clock: systemClock,
		random: systemRandom,
	});
}

const tokens = () =>
	schema.query(
		`select tenant_id, role, key_patterns, revoked_at is null as good from tokens order by id`,
	);
const good = { tenant_id: benchmarkTenant, role: "admin", key_patterns: ["benchmark"], good: true };

describe("what the measurements are made with", () => {
	it("is made when it is missing, and only then", async () => {
		const sign = "POST /v1/keys/benchmark/sign";
		await target().prepare();
		expect(asked).toEqual([sign, "POST /v1/keys", sign]);
		asked = [];
		await target().prepare();
		expect(asked).toEqual([sign]);
		expect(await tokens()).toEqual([good]);
	});

	it("has one token, that of the newest key-encryption key, whichever way that changes", async () => {
		await target(keks[0]).prepare();
		await target(keks[1]).prepare();
		expect(await tokens()).toEqual([{ ...good, good: false }, good]);
		await target(keks[0]).prepare();
		expect((await tokens()).map((token) => token.good)).toEqual([true, false]);
	});

	it("makes no request before it is ready", async () => {
		await expect(target().request("verify", 1, 1)).rejects.toThrow("is not there");
	});
});

describe("requests one after the other", () => {
	const responding = (status: (nth: number) => number) => {
		let [sent, now, most] = [0, 0, 0];
		const send = async () => {
			most = Math.max(most, ++now);
			await scheduler.wait(1);
			now--;
			return new Response("", { status: status(sent++) });
		};
		return { send, sent: () => sent, most: () => most };
	};

	it("are as many as were asked for, and so many at the same time", async () => {
		const { send, sent, most } = responding(() => 200);
		expect(await repeat(send, 40, 8)).toBeNull();
		expect([sent(), most()]).toEqual([40, 8]);
	});

	it("are never more than a burst, whoever asks", async () => {
		const { send, sent, most } = responding(() => 200);
		await repeat(send, 1_000_000, 1_000_000);
		expect([sent(), most()]).toEqual([limits.benchmarkBurst, limits.benchmarkBurstAtOnce]);
	});

	it("end with the first that is refused", async () => {
		const { send, sent } = responding((nth) => (nth === 3 ? 503 : 200));
		expect(await repeat(send, 40, 1)).toEqual({ status: 503, text: "" });
		expect(sent()).toBe(4);
	});
});
