import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { joinAppends } from "../../src/audit/block.ts";
import { expireSlice } from "../../src/audit/expire.ts";
import { decodeRecord, encodeAppend, firstRecordId, splitAppend } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import { ExportVerifier, type Verdict } from "../../src/audit/verify.ts";
import { verifyParquet } from "../../src/audit/verify-parquet.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import { call, newTenant, type Tenant } from "../support/tenant.ts";
import { archiveAll, dropDays, expiringOnly, newDay, services } from "./archive-support.ts";
import { drain, newAppend, objectAt, placeOfTests } from "./support.ts";

const dayMs = 24 * 3600 * 1000;
let tenant: Tenant;
let reader: Awaited<ReturnType<typeof createStatementReader>>;

/**
 * A chain over three days, of which the first is deleted: numbers 1 to 4 and 6 are of it, 5 and 7 of the
 * day after, 8 and 9 of now.
 */
beforeAll(async () => {
	tenant = await newTenant();
	const days = [await newDay(1995), await newDay(1995)];
	const place = placeOfTests(tenant.id);
	const add = async (at: number | null) => {
		const append = at === null ? newAppend(place) : appendAt(place, at);
		await objectAt(place).append(joinAppends([append]), false);
	};
	const noon = (day: number) => Date.parse(days[day] ?? "") + dayMs / 2;
	for (const day of [0, 0, 0, 0, 1, 0, 1]) await add(noon(day));
	await drain(place);
	await archiveAll();
	// Longer ago than both days are by the clocks of other tests, which let what is past expire.
	const retention_days = 36_000;
	const json = { audit_config: { retention_days } };
	expect((await tenant.call("PUT", "/v1/config", { json })).status).toBe(200);
	const clock = () => Date.parse(days[0] ?? "") + (retention_days + 1.5) * dayMs;
	const own = expiringOnly(tenant.id, services);
	expect(await expireSlice({ ...own, clock })).toBe(1);
	for (const _ of [0, 1]) await add(null);
	reader = await createStatementReader(
		(await call("GET", "/.well-known/audit-jwks.json")).json.keys,
	);
}, 60_000);
afterAll(dropDays);

/** As newAppend makes one, of that time. */
function appendAt(place: string, at: number) {
	const [encoded] = splitAppend(newAppend(place));
	if (!encoded) throw new Error("an append without a record");
	const record = decodeRecord(encoded);
	return encodeAppend({ ...record, id: firstRecordId(uuidv7(() => at, systemRandom)) }, [record]);
}

async function exported(query = ""): Promise<string[]> {
	return (await tenant.call("GET", `/v1/audit/export${query}`)).text.trimEnd().split("\n");
}

async function verify(lines: readonly string[]): Promise<Verdict> {
	const verifier = new ExportVerifier(reader);
	for (const line of lines) await verifier.line(line);
	return verifier.done();
}

const isDay = (line: string) => line.startsWith('{"expired"');
const messages = ({ findings }: Verdict) => findings.map(({ message }) => message).join("\n");

describe("an export after a day was deleted", () => {
	const expired = { days: 1, records: 5 };

	it("is whole but for that day, of which it tells", async () => {
		const lines = await exported();
		expect(lines.filter(isDay)).toHaveLength(1);
		// Beside those of the chain above, the record of the change of the configuration.
		expect(await verify(lines)).toMatchObject({ findings: [], isWhole: true, expired, records: 5 });
	});

	it("is so as Parquet too", async () => {
		const { bytes } = await tenant.call("GET", "/v1/audit/export?format=parquet");
		const file = new Uint8Array(bytes);
		const verifier = new ExportVerifier(reader);
		const slice = (from: number, to?: number) => file.slice(from, to).buffer;
		await verifyParquet({ byteLength: file.length, slice }, verifier);
		expect(verifier.done()).toMatchObject({ findings: [], isWhole: true, expired, records: 5 });
	});

	it("tells nothing of it where the filter does not touch it", async () => {
		expect((await exported("?from=2020-01-01T00:00:00Z")).filter(isDay)).toEqual([]);
		expect((await exported("?action=sign")).filter(isDay)).toHaveLength(1);
	});

	it("does not hold without what it tells", async () => {
		const verdict = await verify((await exported()).filter((line) => !isDay(line)));
		expect(messages(verdict)).toContain("numbers 1 to 4 of the chain");
		expect(messages(verdict)).toContain("they are not those that the service signed");
	});

	it("does not hold with anything beside what it tells, which nobody has signed", async () => {
		const lines = await exported();
		const more = lines.map((line) => (isDay(line) ? `${line.slice(0, -1)},"note":1}` : line));
		expect((await verify(more)).findings).toMatchObject([
			{ kind: "changed", line: lines.findIndex(isDay) + 1 },
		]);
	});

	it("does not hold with what another export tells", async () => {
		const [lines, others] = [await exported(), await exported()];
		const other = others.find(isDay) ?? "";
		const verdict = await verify(lines.map((line) => (isDay(line) ? other : line)));
		expect(verdict.findings[0]).toMatchObject({ kind: "forged" });
		expect(messages(verdict)).toContain("numbers 1 to 4 of the chain");
	});

	it("does not pass off a record more as one of the day, nor one that does not follow it", async () => {
		const lines = await exported();
		const without = (sequence: number) =>
			lines.filter((line) => JSON.parse(line).record?.sequence !== sequence);
		// Number 5 is among those of the day, but the day had five of these numbers, not six.
		expect(messages(await verify(without(5)))).toContain(
			"1 of the numbers of deleted days of the chain",
		);
		expect(messages(await verify(without(7)))).toContain("number 7 of the chain");
	});
});
