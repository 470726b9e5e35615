import type pg from "pg";
import { findBreaks } from "../support/node/audit-chains.ts";
import type { Load } from "./load.ts";

/** What is wrong, each by its name; empty where all is well. */
export interface Verdict {
	readonly records: number;
	readonly problems: Readonly<Record<string, readonly string[]>>;
}

const signing = "action in ('sign', 'signBatch')";

/** Compares the log in Postgres, to which all has been moved, with what callers were told. */
export async function judge(database: pg.Client, load: Load): Promise<Verdict> {
	const column = async (query: string) => {
		const { rows } = await database.query<{ value: string }>({ text: query });
		return rows.map(({ value }) => value);
	};
	const recorded = new Set(
		await column(`select encode(signature, 'hex') as value from audit_events where ${signing}`),
	);
	const made = new Set(await column("select id::text as value from keys"));
	const [records] = await column("select count(*)::text as value from audit_events");
	return {
		records: Number(records),
		problems: {
			"told, and not recorded": load.signatures.filter((digest) => !recorded.has(digest)),
			"told twice": [...repeated(load.signatures)],
			// Each message is sent by one request: however often that is repeated, it signs it once.
			"recorded twice": await column(
				`select encode(input, 'hex') as value from audit_events
				where ${signing} and outcome = 'ok' group by 1 having count(*) > 1`,
			),
			"key that was told of and is not there": load.keys.filter((id) => !made.has(id)),
			"changed, and not recorded once": await column(
				`select k.id || ' ' || v.version as value
				from keys k join key_versions v on v.tenant_id = k.tenant_id and v.key_id = k.id
				where (select count(*) from audit_events e where e.tenant_id = k.tenant_id
					and e.target_id = k.id and e.version = v.version
					and e.action = case when v.version = 1 then 'createKey' else 'rotateKey' end) <> 1`,
			),
			"broken chain": await findBreaks(database),
		},
	};
}

function repeated(texts: readonly string[]): Set<string> {
	const seen = new Set<string>();
	return new Set(texts.filter((text) => seen.size === seen.add(text).size));
}
