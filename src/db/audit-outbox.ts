import type { Database, Param, Statement, TargetColumns } from "./client.ts";

/** What is known of a change's record before the change is made. */
export interface OutboxNote {
	/** Of the record. */
	readonly id: string;
	/** Milliseconds since the epoch, as the id has them. */
	readonly at: number;
	/** The object of the log that the record goes to. */
	readonly place: string;
	readonly requestId: string;
	/** null for what nobody asked for over HTTP. */
	readonly tokenId: string | null;
	readonly action: string;
	readonly address: string;
	readonly cost: number;
}

/** What was changed, as the statement answered it. */
export interface ChangedRow {
	readonly target_id: string | null;
	readonly target_name: string | null;
	readonly version: number | null;
	readonly algorithm: string | null;
}

export interface OutboxRow extends ChangedRow, Omit<OutboxNote, "requestId" | "tokenId"> {
	readonly tenant_id: string;
	readonly request_id: string;
	readonly token_id: string | null;
}

export const statements = {
	// The record is in Postgres: nothing of it can be lost any more. Asked note by note, for a join might
	// read all of the log for a few of them; and not all at once, or after a pause of the cron it would never end.
	settle: {
		name: "outbox.settle",
		text: `delete from audit_outbox where ctid = any(array(
				select o.ctid from audit_outbox o where (
					select true from audit_events e
					where e.tenant_id = o.tenant_id and e.at = o.at and e.id = o.id)
				order by o.created_at limit $1))
			returning id`,
	},
	// In any order: those whose object does not answer must not stand before the others for ever.
	due: {
		name: "outbox.due",
		text: `select tenant_id, id, (extract(epoch from at) * 1000)::bigint::text as at, place,
				request_id, token_id, action, address, cost, target_id, target_name, version, algorithm
			from audit_outbox where created_at < now() - make_interval(secs => $1)
			order by random() limit $2`,
	},
} as const satisfies Record<string, Statement>;

export interface Outbox {
	readonly db: Database;
	/** What was changed through this database; null for nothing yet. */
	changed(): ChangedRow | null;
}

/**
 * The database for one request that may change something: a statement with an effect notes its record
 * in the same breath, so no change is there without it. A statement that changed nothing notes nothing.
 */
export function withOutbox(db: Database, note: OutboxNote): Outbox {
	let changed: ChangedRow | null = null;

	function noted(statement: Statement, params: readonly Param[]) {
		if (!statement.effect) return { statement, params };
		return { statement: withNote(statement, params.length), params: [...params, ...values(note)] };
	}

	function remember(statement: Statement, [row]: readonly unknown[]): void {
		if (!statement.effect || row === undefined) return;
		changed = readChanged(statement.target ?? {}, row as Readonly<Record<string, unknown>>);
	}

	return {
		db: {
			async query<Row>(statement: Statement, params: readonly Param[]) {
				const call = noted(statement, params);
				const rows = await db.query<Row>(call.statement, call.params);
				remember(statement, rows);
				return rows;
			},
			async transaction(calls) {
				const results = await db.transaction(
					calls.map(({ statement, params }) => noted(statement, params)),
				);
				for (const [at, { statement }] of calls.entries()) remember(statement, results[at] ?? []);
				return results;
			},
		},
		changed: () => changed,
	};
}

/** Takes away the oldest notes whose records Postgres has; how many. */
export async function settleOutbox(db: Database, atMost: number): Promise<number> {
	return (await db.query(statements.settle, [atMost])).length;
}

/** Notes that wait for longer than their request took. */
export async function dueOutbox(
	db: Database,
	waitSeconds: number,
	atMost: number,
): Promise<OutboxRow[]> {
	type Row = Omit<OutboxRow, "at"> & { readonly at: string };
	const rows = await db.query<Row>(statements.due, [waitSeconds, atMost]);
	return rows.map((row) => ({ ...row, at: Number(row.at) }));
}

/** The tenant is the first parameter of every statement; the note's are the last. */
function withNote({ target = {}, ...statement }: Statement, paramCount: number): Statement {
	const steps = statement.with === undefined ? "" : `${statement.with}, `;
	const param = (index: number, type: string) => `$${paramCount + index}::${type}`;
	const column = (name: string | undefined, type: string) =>
		name === undefined ? `null::${type}` : `changed.${name}::${type}`;
	return {
		...statement,
		with: `${steps}changed as (${statement.text}), noted as (
				insert into audit_outbox (tenant_id, id, at, place, request_id, token_id, action, address,
					cost, target_id, target_name, version, algorithm)
				select $1::text, ${param(1, "uuid")},
					'epoch'::timestamptz + ${param(2, "bigint")} * interval '1 millisecond',
					${param(3, "text")}, ${param(4, "uuid")}, ${param(5, "uuid")}, ${param(6, "text")},
					${param(7, "text")}, ${param(8, "int")}, ${column(target.id, "uuid")},
					${column(target.name, "text")}, ${column(target.version, "int")},
					${column(target.algorithm, "text")}
				from changed
			)`,
		text: "select * from changed",
	};
}

function values(note: OutboxNote): Param[] {
	const { id, at, place, requestId, tokenId, action, address, cost } = note;
	return [id, at, place, requestId, tokenId, action, address, cost];
}

function readChanged(columns: TargetColumns, row: Readonly<Record<string, unknown>>): ChangedRow {
	const text = (column: string | undefined) =>
		column === undefined || row[column] == null ? null : String(row[column]);
	const version = text(columns.version);
	return {
		target_id: text(columns.id),
		target_name: text(columns.name),
		version: version === null ? null : Number(version),
		algorithm: text(columns.algorithm),
	};
}
