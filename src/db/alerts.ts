import type { Database, Statement } from "./client.ts";
import { iso, type Page } from "./columns.ts";

/** An alert as Postgres answers it. Times are ISO 8601 in UTC. */
export interface AlertRow {
	readonly id: string;
	readonly rule: string;
	/** What broke the rule. */
	readonly subject: string;
	readonly value: number | null;
	readonly threshold: number | null;
	readonly bottleneck: string | null;
	readonly advice: string;
	readonly raised_at: string;
	/** null while the condition lasts. */
	readonly resolved_at: string | null;
}

export type NewAlert = Omit<AlertRow, "raised_at" | "resolved_at">;
/** What an open alert is known by. */
export type AlertName = Pick<AlertRow, "rule" | "subject">;

const columns = `a.id, a.rule, a.subject, a.value, a.threshold, a.bottleneck, a.advice,
	${iso("a.raised_at", "raised_at")}, ${iso("a.resolved_at", "resolved_at")}`;

export const statements = {
	raise: {
		name: "alerts.raise",
		text: `insert into alerts (tenant_id, id, rule, subject, value, threshold, bottleneck, advice)
			select $1::text, n.* from unnest($2::uuid[], $3::text[], $4::text[], $5::float8[], $6::float8[],
				$7::text[], $8::text[]) n
			on conflict (tenant_id, rule, subject) where resolved_at is null do nothing`,
	},
	resolve: {
		name: "alerts.resolve",
		text: `update alerts set resolved_at = now()
			where tenant_id = $1 and resolved_at is null
				and (rule, subject) in (select * from unnest($2::text[], $3::text[]))`,
	},
	list: {
		name: "alerts.list",
		text: `select ${columns} from alerts a
			where a.tenant_id = $1 and a.id < $2 and (not $4 or a.resolved_at is null)
			order by a.id desc limit $3`,
	},
	purge: {
		name: "alerts.purge",
		text: `delete from alerts where ctid = any(array(
				select ctid from alerts
				where resolved_at < now() - make_interval(days => $1) order by resolved_at limit $2))
			returning id`,
	},
} as const satisfies Record<string, Statement>;

const asText = (value: number | null) => (value === null ? null : String(value));

/** The statement that raises alerts, for a transaction: one that is open already stays as it is. */
export function raising(tenant: string, alerts: readonly NewAlert[]) {
	const params = [
		tenant,
		alerts.map(({ id }) => id),
		alerts.map(({ rule }) => rule),
		alerts.map(({ subject }) => subject),
		alerts.map(({ value }) => asText(value)),
		alerts.map(({ threshold }) => asText(threshold)),
		alerts.map(({ bottleneck }) => bottleneck),
		alerts.map(({ advice }) => advice),
	] as const;
	return { statement: statements.raise, params };
}

/** The statement that resolves those of these names that are open. */
export function resolving(tenant: string, names: readonly AlertName[]) {
	const rules = names.map(({ rule }) => rule);
	const subjects = names.map(({ subject }) => subject);
	return { statement: statements.resolve, params: [tenant, rules, subjects] as const };
}

/** Newest first: those before the id `after`. */
export async function selectAlerts(
	db: Database,
	tenant: string,
	page: Page,
	openOnly: boolean,
): Promise<AlertRow[]> {
	return db.query<AlertRow>(statements.list, [tenant, page.after, page.size, openOnly]);
}

/** Deletes those that were resolved so many days ago; how many. */
export async function purgeAlerts(db: Database, days: number, atMost: number): Promise<number> {
	return (await db.query(statements.purge, [days, atMost])).length;
}
