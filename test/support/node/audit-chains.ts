import type pg from "pg";
import { type ChainHead, chainStart, leafOf, linked } from "../../../src/audit/chain.ts";
import { encodeAppend, firstRecordId, splitAppend } from "../../../src/audit/record.ts";

const rowsAtOnce = 5_000;

/** A row of audit_events with its chain's, as `pg` reads them. */
interface Row {
	readonly [column: string]: unknown;
	readonly id: string;
	readonly chain: string;
	readonly sequence: string;
	readonly link: Buffer;
}

/** Where a chain in Postgres is not what its records make: at each place the chain and the number. */
export async function findBreaks(database: pg.Client): Promise<string[]> {
	const breaks: string[] = [];
	let chain = "";
	let head: ChainHead | null = null;
	await database.query("begin");
	await database.query(
		`declare records cursor for
		select e.*, c.region, c.shard from audit_events e
		left join audit_chains c on c.tenant_id = e.tenant_id and c.id = e.chain
		order by e.chain, e.sequence`,
	);
	for (;;) {
		const { rows } = await database.query<Row>(`fetch ${rowsAtOnce} from records`);
		for (const row of rows) {
			if (row.chain !== chain || head === null) head = startOf(row);
			chain = row.chain;
			const leaf: Uint8Array<ArrayBuffer> = leafOfRow(row);
			head = linked(head, leaf);
			if (head.sequence === Number(row.sequence) && row.link.equals(head.link)) continue;
			breaks.push(`${row.chain} ${row.sequence}`);
			head = { sequence: Number(row.sequence), link: new Uint8Array(row.link) }; // one break is told once
		}
		if (rows.length < rowsAtOnce) break;
	}
	await database.query("commit");
	return breaks;
}

function startOf(row: Row): ChainHead {
	const { tenant_id: tenant, region, shard } = row as unknown as Record<string, string>;
	return chainStart({
		id: row.chain,
		tenant: tenant ?? "",
		region: region ?? "",
		shard: Number(shard),
	});
}

/** Of a record that is encoded anew from its columns. */
function leafOfRow(row: Row) {
	const head = {
		...row,
		id: firstRecordId(row.id),
		requestId: row.request_id,
		tenant: row.tenant_id,
		tokenId: row.token_id,
		target: {
			id: row.target_id,
			name: row.target_name,
			version: row.version,
			algorithm: row.algorithm,
		},
	};
	const item = {
		...row,
		number: Number.parseInt(row.id.slice(15, 18), 16),
		inputKind: row.input_kind,
	};
	const [record] = splitAppend(
		encodeAppend(head as unknown as Parameters<typeof encodeAppend>[0], [
			item as unknown as Parameters<typeof encodeAppend>[1][number],
		]),
	);
	if (!record) throw new Error("an append without a record");
	return leafOf(record);
}
