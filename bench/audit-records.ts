import pg from "pg";
import type { LinkedRecord } from "../src/audit/block.ts";
import { type ChainHead, type ChainName, chainStart, leafOf, linked } from "../src/audit/chain.ts";
import { packRecords } from "../src/audit/pack.ts";
import { encodeAppend, firstRecordId, splitAppend } from "../src/audit/record.ts";
import { insertEvents } from "../src/db/audit-events.ts";
import type { Database } from "../src/db/client.ts";
import type { Bytes } from "../src/lib/bytes.ts";

const dayMs = 24 * 3600 * 1000;
const batchRecords = 5_000;
const keys = 400;
const tokens = 60;
/** How much of a day's records each of its hours has (UTC): offices on both sides of an ocean. */
const hourWeights = [
	2, 1, 1, 1, 2, 3, 5, 8, 10, 11, 10, 9, 10, 12, 13, 12, 11, 9, 7, 6, 5, 4, 3, 3,
];
/** Of what callers do, how often in a thousand. */
const deeds = [
	{ of: 970, action: "sign", outcome: "ok", isSigned: true },
	{ of: 12, action: "verify", outcome: "invalid", isSigned: true },
	{ of: 10, action: "sign", outcome: "key_out_of_scope", isSigned: false },
	{ of: 5, action: "sign", outcome: "role_forbidden", isSigned: false },
	{ of: 2, action: "rotateKey", outcome: "ok", isSigned: false },
	{ of: 1, action: "createToken", outcome: "ok", isSigned: false },
] as const;

/** A chain with its records in Postgres. */
interface SeededChain extends ChainName, ChainHead {}

export interface SeedPlan {
	readonly databaseUrl: string;
	readonly records: number;
	/** The last one is today. */
	readonly days: number;
	/** The first has nearly all records. */
	readonly tenants: readonly string[];
	readonly onProgress: (records: number) => void;
	readonly signal: AbortSignal;
}

/**
 * Records as the log makes them, brought to Postgres by its own statement: skewed over tenants, keys,
 * days and hours, linked to each other. The same for the same plan but for the day on which it is made.
 */
export async function seedRecords(plan: SeedPlan): Promise<SeededChain[]> {
	const client = new pg.Client(plan.databaseUrl);
	await client.connect();
	try {
		await client.query("set synchronous_commit = off"); // what is lost is made anew
		const today = Math.floor(Date.now() / dayMs) * dayMs;
		const first = today - (plan.days - 1) * dayMs;
		await makePartitions(client, first, today);
		return await seedInto(client, plan, first);
	} finally {
		await client.end();
	}
}

async function seedInto(client: pg.Client, plan: SeedPlan, first: number): Promise<SeededChain[]> {
	const random = new Xorshift(1);
	const chains = plan.tenants.flatMap((tenant, index) => newChains(tenant, index === 0, random));
	const db = databaseOf(client);
	let done = 0;
	let inserting: Promise<void> = Promise.resolve();
	for (const { at, count } of spread(plan.records, plan.days, first)) {
		for (const chain of chains) {
			const share = Math.round(count * chain.share);
			for (let from = 0; from < share; from += batchRecords) {
				plan.signal.throwIfAborted();
				const batch = Math.min(batchRecords, share - from);
				const times = { at: at + (from / share) * hourMs, span: (batch / share) * hourMs };
				const records = chain.next(batch, times, random);
				await inserting; // while these were made
				inserting = insertEvents(db, chain.name, packRecords(records));
				done += batch;
				plan.onProgress(done);
			}
		}
	}
	await inserting;
	return chains.map(({ name, head }) => ({ ...name, ...head }));
}

const hourMs = dayMs / 24;

/** How many records each hour has; at weekends a third. */
function spread(records: number, days: number, first: number) {
	const hours = Array.from({ length: days * 24 }, (_, hour) => {
		const at = first + hour * hourMs;
		const weekday = new Date(at).getUTCDay();
		const weight = hourWeights[hour % 24] ?? 1;
		return { at, weight: weekday === 0 || weekday === 6 ? weight / 3 : weight };
	});
	const all = hours.reduce((sum, { weight }) => sum + weight, 0);
	return hours.map(({ at, weight }) => ({ at, count: Math.round((records * weight) / all) }));
}

/** The first tenant has two chains and nine tenths of the records, the others one chain each. */
function newChains(tenant: string, isFirst: boolean, random: Xorshift): Chain[] {
	const regions = isFirst ? ["weur", "enam"] : ["enam"];
	return regions.map((region, index) => {
		const name = { id: random.uuid(0), tenant, region, shard: 0 };
		const share = isFirst ? (index === 0 ? 0.6 : 0.3) : 0.05;
		return new Chain(name, share, random);
	});
}

interface Named {
	readonly id: string;
	readonly name: string;
}

/** A chain that goes on and on, over the keys and tokens of its tenant. */
class Chain {
	readonly name: ChainName;
	readonly share: number;
	head: ChainHead;
	readonly #keys: readonly Named[];
	readonly #tokens: readonly string[];

	constructor(name: ChainName, share: number, random: Xorshift) {
		this.name = name;
		this.share = share;
		this.head = chainStart(name);
		const own = new Xorshift(name.tenant.length); // the same keys for all chains of a tenant
		this.#keys = Array.from({ length: keys }, (_, n) => ({ id: own.uuid(0), name: `key-${n}` }));
		this.#tokens = Array.from({ length: tokens }, () => own.uuid(0));
		random.next();
	}

	/** So many records, spread evenly over the time from `at` on. */
	next(count: number, { at, span }: { at: number; span: number }, random: Xorshift) {
		return Array.from({ length: count }, (_, index): LinkedRecord => {
			const time = Math.floor(at + (span * index) / count);
			const [encoded] = splitAppend(this.#append(time, random));
			if (!encoded) throw new Error("an append without a record");
			this.head = linked(this.head, leafOf(encoded));
			return { ...encoded, ...this.head };
		});
	}

	#append(time: number, random: Xorshift): Bytes {
		const rank = random.skewed(keys);
		const key = this.#keys[rank];
		// Who signs with a key are few, and each of them is somewhere.
		const who = (7 * rank + random.skewed(4)) % tokens;
		const deed = deedAt(random.below(1000));
		const target = {
			id: key?.id ?? null,
			name: key?.name ?? "",
			version: 1 + random.skewed(3),
			algorithm: deed.action === "createToken" ? "" : "Ed25519",
		};
		const head = {
			id: firstRecordId(random.uuid(time)),
			requestId: random.uuid(time),
			tenant: this.name.tenant,
			tokenId: this.#tokens[who] ?? null,
			action: deed.action,
			target,
			address: `198.51.100.${2 * who + random.skewed(2)}`,
		};
		const { outcome, isSigned } = deed;
		const digests = isSigned
			? { inputKind: "message" as const, input: random.bytes(32), signature: random.bytes(32) }
			: { inputKind: null, input: null, signature: null };
		return encodeAppend(head, [{ number: 0, cost: 100, outcome, ...digests }]);
	}
}

function deedAt(point: number) {
	let at = 0;
	const found = deeds.find(({ of }) => {
		at += of;
		return point < at;
	});
	return found ?? deeds[0];
}

/** Numbers that look random and are the same in every run (Marsaglia, Xorshift RNGs, 2003). */
class Xorshift {
	#state: number;

	constructor(seed: number) {
		this.#state = (seed * 2_654_435_761) >>> 0 || 1;
	}

	next(): number {
		let x = this.#state;
		x ^= x << 13;
		x ^= x >>> 17;
		x ^= x << 5;
		this.#state = x >>> 0;
		return this.#state;
	}

	below(end: number): number {
		return this.next() % end;
	}

	/** Small numbers far more often than large ones: a share of the ranks that grows with their logarithm. */
	skewed(end: number): number {
		return Math.min(end - 1, Math.floor((end + 1) ** (this.next() / 2 ** 32)) - 1);
	}

	bytes(length: number): Bytes {
		const words = new Uint32Array(length / 4);
		for (let at = 0; at < words.length; at++) words[at] = this.next();
		return new Uint8Array(words.buffer);
	}

	/** Of version 7. */
	uuid(time: number): string {
		const bytes = this.bytes(16);
		const view = new DataView(bytes.buffer);
		view.setUint32(0, Math.floor(time / 0x1_0000));
		view.setUint16(4, time % 0x1_0000);
		view.setUint8(6, (view.getUint8(6) & 0x0f) | 0x70);
		view.setUint8(8, (view.getUint8(8) & 0x3f) | 0x80);
		const hex = Buffer.from(bytes.buffer).toString("hex");
		return [0, 8, 12, 16, 20].map((at, index, all) => hex.slice(at, all[index + 1])).join("-");
	}
}

/** Those that are not there yet, a day each. */
async function makePartitions(client: pg.Client, first: number, last: number): Promise<void> {
	for (let at = first; at <= last; at += dayMs) {
		const [from, to] = [at, at + dayMs].map((time) => new Date(time).toISOString());
		const name = `audit_events_${from?.slice(0, 10).replaceAll("-", "")}`;
		await client.query(
			`create table if not exists ${name} partition of audit_events
			for values from ('${from}') to ('${to}')`,
		);
	}
}

/** What the service's own statements are run with, over a connection that stays open. */
export function databaseOf(client: pg.Client): Database {
	return {
		async query<Row>(
			{ with: steps, text }: Parameters<Database["query"]>[0],
			params: Parameters<Database["query"]>[1],
		) {
			const whole = steps === undefined ? text : `with ${steps} ${text}`;
			return (await client.query(whole, [...params])).rows as Row[];
		},
		transaction: () => Promise.reject(new Error("nothing here needs one")),
	};
}
