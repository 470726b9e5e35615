import type pg from "pg";
import type { Database, Param, Statement } from "../src/db/client.ts";

/** What EXPLAIN says of a node of a plan. */
interface PlanNode {
	readonly "Node Type": string;
	readonly "Relation Name"?: string;
	readonly "Index Name"?: string;
	readonly "Plan Rows": number;
	readonly "Actual Loops": number;
	readonly "Actual Rows": number;
	readonly Operation?: string;
	readonly Plans?: readonly PlanNode[];
}

/** A statement as Postgres has carried it out. */
export interface Explained {
	/** How tables are read that are large, without the days in the names of partitions. */
	readonly reads: readonly string[];
	/** Large tables of which all was read. */
	readonly scanned: readonly string[];
	/** Nodes whose rows Postgres expected to be far more or fewer than they were. */
	readonly misjudged: readonly string[];
	/** Of 8 KiB, from memory or not, those of the planning left out. */
	readonly pages: number;
}

/** A table of fewer rows may be read in whatever way. */
const largeRows = 5_000;
const factorMax = 100;
/** So many rows more or fewer are no misjudgement. */
const slackRows = 20;

/** The owner's connection, in a transaction that is rolled back: each statement is explained, taken back, and run. */
export function explaining(
	client: pg.Client,
	largest: ReadonlyMap<string, number>,
	tell: (name: string, explained: Explained) => void,
): Database {
	async function query<Row>({ name, with: steps, text }: Statement, params: readonly Param[]) {
		const whole = steps === undefined ? text : `with ${steps} ${text}`;
		await client.query("savepoint explained");
		const explain = `explain (analyze, buffers, timing off, format json) ${whole}`;
		const { rows: answer } = await client.query(explain, [...params]);
		await client.query("rollback to savepoint explained");
		tell(name, read(answer[0]["QUERY PLAN"][0].Plan, largest));
		return (await client.query(whole, [...params])).rows as Row[];
	}
	return {
		query,
		async transaction(calls) {
			const answers: Record<string, unknown>[][] = [];
			for (const { statement, params } of calls) answers.push(await query(statement, params));
			return answers;
		},
	};
}

/** How many rows each table had when it was last analysed. */
export async function sizesOfTables(client: pg.Client): Promise<Map<string, number>> {
	const { rows } = await client.query<{ relname: string; n: number }>(
		`select relname, reltuples::float8 as n from pg_class
		where relnamespace = 'public'::regnamespace and relkind = 'r'`,
	);
	return new Map(rows.map(({ relname, n }) => [relname, n]));
}

interface Seen {
	readonly node: PlanNode;
	/** Somebody above it stops when there are enough rows. */
	readonly isCut: boolean;
}

function read(
	plan: PlanNode & {
		readonly "Shared Hit Blocks"?: number;
		readonly "Shared Read Blocks"?: number;
	},
	largest: ReadonlyMap<string, number>,
): Explained {
	const nodes = [...walk(plan, false)].filter(({ node }) => node["Actual Loops"] > 0);
	const isLarge = ({ "Relation Name": name = "" }: PlanNode) =>
		(largest.get(name) ?? 0) >= largeRows;
	const reads = nodes.flatMap(({ node }) => {
		if (node.Operation || !isLarge(node)) return [];
		const indexes = [...walk(node, false)].flatMap((seen) => seen.node["Index Name"] ?? []);
		const name = plain(`${node["Relation Name"]}`);
		// A bitmap of an index or the index itself: which of them is cheaper changes with a sample of rows.
		return [
			indexes.length > 0
				? `${name} by ${plain(indexes.join(" and "))}`
				: `${node["Node Type"]} of ${name}`,
		];
	});
	return {
		reads: [...new Set(reads)].sort(),
		scanned: nodes
			.filter(({ node }) => node["Node Type"] === "Seq Scan" && isLarge(node))
			.map(({ node }) => `${node["Relation Name"]}`),
		misjudged: nodes
			.filter((seen) => !isByPlace(seen.node) && isMisjudged(seen))
			.map(({ node }) => describe(node)),
		pages: (plan["Shared Hit Blocks"] ?? 0) + (plan["Shared Read Blocks"] ?? 0),
	};
}

/** Postgres takes ten for every list of places that it does not know before. */
function isByPlace({ "Node Type": type, Plans = [] }: PlanNode): boolean {
	return type === "Tid Scan" || (type === "ModifyTable" && Plans.some(isByPlace));
}

/** Too many expected is no mistake where not all of them were wanted. */
function isMisjudged({ node, isCut }: Seen): boolean {
	const [expected, actual] = [node["Plan Rows"] + slackRows, node["Actual Rows"] + slackRows];
	return actual > factorMax * expected || (!isCut && expected > factorMax * actual);
}

function describe(node: PlanNode): string {
	const of = node["Relation Name"] ?? node["Index Name"] ?? "";
	return `${node["Node Type"]} ${of}: ${node["Plan Rows"]} rows expected, ${node["Actual Rows"]} found`;
}

const stopping = new Set(["Limit", "Nested Loop", "Merge Join", "CTE Scan"]);

function* walk(node: PlanNode, isCut: boolean): Generator<Seen> {
	yield { node, isCut };
	for (const child of node.Plans ?? [])
		yield* walk(child, isCut || stopping.has(node["Node Type"]));
}

function plain(name: string): string {
	return name.replaceAll(/_\d{8}(?=_|$)/g, "_DAY");
}
