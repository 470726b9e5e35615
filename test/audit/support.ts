import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import type { AuditLog } from "../../durable-objects/audit-log.ts";
import { readBlock } from "../../src/audit/block.ts";
import { chainStart, leafOf, linked } from "../../src/audit/chain.ts";
import { readPlace } from "../../src/audit/log.ts";
import {
	type AuditRecord,
	decodeRecord,
	encodeAppend,
	firstRecordId,
	type RecordItem,
	splitAppend,
} from "../../src/audit/record.ts";
import { type Bytes, fromHex, toHex } from "../../src/lib/bytes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import { ownerSql } from "../support/tenant.ts";

/** The namespace with its class, which the service's own binding does not name. */
const namespace = env.AUDIT_LOG as unknown as DurableObjectNamespace<AuditLog>;

/** Where requests of the tests come from is not said, so all of a tenant's records are in one object. */
export function placeOfTests(tenant: string): string {
	return `${tenant}/enam/0`;
}

export function objectAt(place: string) {
	return namespace.getByName(place);
}

let made = 0;

/** An object that nobody had before. */
export function newPlace(): string {
	made++;
	return placeOfTests(`log-${toHex(systemRandom(6))}-${made}`);
}

/** An append of `count` records, all new. */
export function newAppend(
	place: string,
	count = 1,
	fields: Partial<RecordItem> = {},
	id = firstRecordId(uuidv7(systemClock, systemRandom)),
): Bytes {
	const head = {
		id,
		requestId: uuidv7(systemClock, systemRandom),
		tenant: readPlace(place).tenant,
		tokenId: "01900000-0000-7000-8000-000000000001",
		action: "sign",
		target: {
			id: uuidv7(systemClock, systemRandom),
			name: "key",
			version: 1,
			algorithm: "Ed25519",
		},
		address: "192.0.2.1",
	};
	const items = Array.from({ length: count }, (_, number): RecordItem => {
		const [input, signature] = [systemRandom(32), systemRandom(32)];
		return { number, inputKind: "message", input, signature, cost: 100, outcome: "ok", ...fields };
	});
	return encodeAppend(head, items);
}

export function idsOf(...appends: readonly Bytes[]): string[] {
	return appends.flatMap((append) => splitAppend(append).map((record) => decodeRecord(record).id));
}

/** What an object has that Postgres has not, each link checked against the ones before it. */
export function waitingIn(place: string): Promise<AuditRecord[]> {
	return runInDurableObject(objectAt(place), (_, { storage }) => {
		const [chain] = [...storage.sql.exec("select * from chain")];
		let head = {
			sequence: Number(chain?.moved_sequence),
			link: new Uint8Array(chain?.moved_link as ArrayBuffer),
		};
		const records: AuditRecord[] = [];
		for (const row of storage.sql.exec("select * from blocks order by sequence")) {
			const block = {
				sequence: Number(row.sequence),
				count: Number(row.count),
				link: new Uint8Array(row.link as ArrayBuffer),
				bytes: new Uint8Array(row.bytes as ArrayBuffer),
			};
			for (const linkedRecord of readBlock(head, block)) {
				records.push(decodeRecord(linkedRecord));
				head = linkedRecord;
			}
		}
		return records;
	});
}

/** How many blocks an object has, and when its alarm rings. */
export function stateOf(place: string): Promise<{ blocks: number; alarm: number | null }> {
	return runInDurableObject(objectAt(place), async (_, { storage }) => ({
		blocks: Number(storage.sql.exec("select count(*) as n from blocks").one().n),
		alarm: await storage.getAlarm(),
	}));
}

export function evict(place: string): Promise<void> {
	return evictDurableObject(objectAt(place));
}

export function ring(place: string): Promise<boolean> {
	return runDurableObjectAlarm(objectAt(place));
}

/** Moves all that an object has to Postgres. */
export async function drain(place: string): Promise<void> {
	for (let attempt = 0; attempt < 500; attempt++) {
		const rang = await ring(place);
		if ((await stateOf(place)).blocks === 0) return;
		if (!rang) await scheduler.wait(20); // it rings by itself, and waits for Postgres
	}
	throw new Error(`${place} is not drained`);
}

export interface StoredRecord extends AuditRecord {
	readonly chain: string;
	readonly sequence: number;
	readonly link: string;
}

/** A tenant's records in Postgres, chain by chain. */
export async function storedOf(tenant: string): Promise<StoredRecord[]> {
	const rows = await ownerSql().query(
		`select id, request_id, tenant_id, token_id, action, target_id, target_name, version, algorithm,
			address, input_kind, encode(input, 'hex') as input, encode(signature, 'hex') as signature,
			cost, outcome, chain, sequence, encode(link, 'hex') as link
		from audit_events where tenant_id = $1 order by chain, sequence`,
		[tenant],
	);
	return rows.map(
		(row): StoredRecord => ({
			id: row.id,
			requestId: row.request_id,
			tenant: row.tenant_id,
			tokenId: row.token_id,
			action: row.action,
			target: {
				id: row.target_id,
				name: row.target_name,
				version: row.version,
				algorithm: row.algorithm,
			},
			address: row.address,
			number: Number.parseInt(row.id.slice(15, 18), 16),
			inputKind: row.input_kind,
			input: row.input && fromHex(row.input),
			signature: row.signature && fromHex(row.signature),
			cost: row.cost,
			outcome: row.outcome,
			chain: row.chain,
			sequence: Number(row.sequence),
			link: row.link,
		}),
	);
}

/** All records of a tenant whose objects are those of the tests, once all have come to Postgres. */
export async function recordsOf(tenant: string): Promise<StoredRecord[]> {
	await drain(placeOfTests(tenant));
	return storedOf(tenant);
}

/** Where a tenant's chains are broken: what stands in Postgres, made anew from its columns alone. */
export async function breaksOf(tenant: string): Promise<string[]> {
	const chains = await ownerSql().query("select * from audit_chains where tenant_id = $1", [
		tenant,
	]);
	const records = await storedOf(tenant);
	return chains.flatMap((chain) => {
		let head = chainStart({ id: chain.id, tenant, region: chain.region, shard: chain.shard });
		return records
			.filter((record) => record.chain === chain.id)
			.flatMap((record) => {
				const append = encodeAppend({ ...record, id: firstRecordId(record.id) }, [record]);
				const [encoded] = splitAppend(append);
				if (encoded) head = linked(head, leafOf(encoded));
				const isWhole = head.sequence === record.sequence && toHex(head.link) === record.link;
				return isWhole ? [] : [`${chain.id} ${record.sequence}`];
			});
	});
}
