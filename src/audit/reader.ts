import { storedChains } from "../db/audit-reads.ts";
import type { Database } from "../db/client.ts";
import { answered } from "../lib/within.ts";
import * as limits from "../limits.ts";
import type { createCoordinators } from "../ratelimit/coordinator.ts";
import type { ChainHead, ChainMark, ChainName } from "./chain.ts";
import type { ChainHeads } from "./checkpoint.ts";
import { type AuditLogRpc, placeNamed } from "./log.ts";
import { atOnce, inOrder } from "./merge.ts";
import { AuditUnreadable, type RecordSource } from "./source.ts";
import { storedRecords } from "./stored.ts";

export interface AuditReader {
	/** Every record of the tenant, wherever it is: `further` has those that Postgres has no more. */
	recordsOf(tenant: string, further?: RecordSource): Promise<RecordSource>;
	/** The same without those that have not left their objects yet. */
	movedOf(further: RecordSource): RecordSource;
	headsOf(tenant: string): Promise<ChainHeads>;
	/** Whether its object has told the coordinator of the chain, as it does before the first record. */
	hasBegun(tenant: string, chain: string): Promise<boolean>;
	/** What the chain's object remembers of it, at or behind that number. */
	markOf(chain: ChainName, sequence: number): Promise<ChainMark | null>;
}

export interface AuditPlaces {
	readonly namespace: DurableObjectNamespace;
	readonly coordinator: Pick<ReturnType<typeof createCoordinators>, "chains">;
	readonly db: Database;
}

export function createAuditReader({ namespace, coordinator, db }: AuditPlaces): AuditReader {
	// The binding does not know its class.
	const objectAt = (place: string) => namespace.getByName(place) as unknown as AuditLogRpc;
	const told = <T>(call: Promise<T>) => answered(call, limits.auditTimeoutMs, AuditUnreadable);
	const objectRecords = (place: string): RecordSource => ({
		read: (query) => told(objectAt(place).read(query)),
	});

	/** What the coordinator has forgotten Postgres knows, and what has not come there yet the coordinator. */
	async function chainsOf(tenant: string) {
		const [known, stored] = await Promise.all([
			coordinator.chains(tenant),
			storedChains(db, tenant),
		]);
		const places = new Map(
			stored.map(({ id, region, shard }) => [id, placeNamed(tenant, region, shard)]),
		);
		for (const { id, place } of known) places.set(id, place);
		const began = new Set(known.map(({ id }) => id));
		return { ids: [...places.keys()], began, places: [...new Set(places.values())] };
	}

	return {
		async recordsOf(tenant, further) {
			const { places } = await chainsOf(tenant);
			const objects = atOnce(places.map(objectRecords), limits.auditObjectsAtOnce);
			return inOrder([objects, storedRecords(db), ...(further ? [further] : [])]);
		},
		movedOf: (further) => inOrder([storedRecords(db), further]),
		async headsOf(tenant) {
			const { ids, began, places } = await chainsOf(tenant);
			const all: (ChainName & ChainHead)[] = [];
			for (let from = 0; from < places.length; from += limits.auditObjectsAtOnce) {
				const some = places.slice(from, from + limits.auditObjectsAtOnce);
				all.push(...(await Promise.all(some.map((place) => told(objectAt(place).head())))));
			}
			const present = new Set(all.map(({ id }) => id));
			const lost = ids.filter((id) => !present.has(id)).sort();
			const heads = all.filter(({ sequence }) => sequence > 0);
			return {
				heads: heads.sort((a, b) => (a.id < b.id ? -1 : 1)),
				ended: lost.filter((id) => began.has(id)),
				unknown: lost.filter((id) => !began.has(id)),
			};
		},
		async hasBegun(tenant, chain) {
			return (await coordinator.chains(tenant)).some(({ id }) => id === chain);
		},
		async markOf({ id, tenant, region, shard }, sequence) {
			const place = placeNamed(tenant, region, shard);
			const mark = await told(objectAt(place).mark(sequence));
			return mark?.chain === id ? mark : null;
		},
	};
}
