import { globSync, readFileSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Explained, explaining, sizesOfTables } from "../../bench/explained.ts";
import { seedSkewed } from "../../bench/skewed-data.ts";
import { migrate } from "../../local/migrate.ts";
import { type RunningPostgres, startPostgres } from "../../local/postgres.ts";
import { allStatements } from "../../src/db/all.ts";
import { newDataDir } from "../support/node/data-dir.ts";
import { planCases } from "./plan-cases.ts";

const file = join(import.meta.dirname, "plans.json");
const isUpdate = process.env.UPDATE_PLANS === "1";
const rowsLeast = 1_000_000;
const pagesMost = 6_000;

/** Statements that read all of a large table, and why they may. */
const readAll: Readonly<Record<string, string>> = {
	"sealed.counts": "counts every version, before and after a rewrap by hand",
};
/** Statements that are to touch many pages: they write many rows. */
const writeMuch: Readonly<Record<string, string>> = {
	"audit.insert": "two thousand records",
	"effects.purge": "ten thousand marks",
	"keys.purge": "two hundred and fifty keys with their versions",
	"benchmarks.purge": "ten thousand runs",
	"alerts.purge": "ten thousand alerts",
	"usage.purge": "ten thousand rows",
};

let dataDir: string;
let postgres: RunningPostgres;
let owner: pg.Client;
const found = new Map<string, Explained>();

beforeAll(async () => {
	dataDir = await newDataDir();
	postgres = await startPostgres({ dataDir, durable: false });
	await migrate(postgres.url);
	owner = new pg.Client(postgres.url);
	await owner.connect();
	await owner.query("alter system set autovacuum = off"); // it would come at any moment, or not
	await owner.query("select pg_reload_conf()");
	await seedSkewed(owner, { events: 600_000, days: 5, keys: 40_000 });
	const sizes = await sizesOfTables(owner);
	for (const [label, run] of Object.entries(planCases)) {
		const own = label.split("/", 1)[0];
		await owner.query("begin");
		const db = explaining(owner, sizes, (name, plan) =>
			found.set(name === own ? label : name, plan),
		);
		await run(db);
		await owner.query("rollback");
	}
	if (isUpdate) await writePlans();
}, 240_000);

afterAll(async () => {
	await owner?.end();
	await postgres?.stop();
	await rm(dataDir, { recursive: true, force: true });
});

async function writePlans(): Promise<void> {
	await writeFile(file, `${JSON.stringify(plansFound(), null, "\t")}\n`);
}

function plansFound(): Record<string, string> {
	const labels = [...found.keys()].sort();
	return Object.fromEntries(
		labels.map((label) => [label, found.get(label)?.reads.join(" + ") || "few rows"]),
	);
}

const nameOf = (label: string) => label.split("/", 1)[0] ?? "";

describe("every statement of the service", () => {
	it("is in the list, wherever it stands", () => {
		const named = globSync("src/**/*.ts").flatMap((path) =>
			[...readFileSync(path, "utf8").matchAll(/\bname: "([a-z]+\.[A-Za-z]+)",\s+\w+: [^,]/g)].map(
				([, name]) => name,
			),
		);
		const listed = allStatements.map(({ name }) => name);
		expect(new Set(named)).toEqual(new Set(listed));
		expect(new Set(listed).size).toBe(listed.length);
	});

	it("was explained", () => {
		const explained = new Set([...found.keys()].map(nameOf));
		const missing = allStatements.map(({ name }) => name).filter((name) => !explained.has(name));
		expect(missing, "add a case to test/db/plan-cases.ts").toEqual([]);
	});

	it("meets a million rows and more", async () => {
		let rows = 0;
		for (const count of (await sizesOfTables(owner)).values()) rows += Math.max(0, count);
		expect(rows).toBeGreaterThan(rowsLeast);
	});

	it("has the plan that was agreed on (UPDATE_PLANS=1 agrees on what there is)", async () => {
		expect(plansFound()).toEqual(JSON.parse(await readFile(file, "utf8")));
	});

	it("reads no large table from end to end", () => {
		const scanning = [...found].filter(
			([label, { scanned }]) => !readAll[nameOf(label)] && scanned.length > 0,
		);
		expect(scanning.map(([label, { scanned }]) => `${label}: ${scanned}`)).toEqual([]);
	});

	it("finds about as many rows as Postgres expects", () => {
		expect(
			[...found].flatMap(([label, { misjudged }]) => misjudged.map((line) => `${label}: ${line}`)),
		).toEqual([]);
	});

	it("touches few pages, unless it writes much", () => {
		const many = [...found].filter(
			([label, { pages }]) =>
				pages > pagesMost && !readAll[nameOf(label)] && !writeMuch[nameOf(label)],
		);
		expect(many.map(([label, { pages }]) => `${label}: ${pages}`)).toEqual([]);
	});
});
