import { beforeEach, describe, expect, it } from "vitest";
import { joinAppends } from "../../src/audit/block.ts";
import { type ChainHead, leafOf, linked } from "../../src/audit/chain.ts";
import { canonicalRecord, firstRecordId } from "../../src/audit/record.ts";
import { createStatementReader } from "../../src/audit/signer.ts";
import { verifyProof } from "../../src/audit/verify-proof.ts";
import { fromHex, toHex } from "../../src/lib/bytes.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import * as limits from "../../src/limits.ts";
import {
	drain,
	evict,
	newAppend,
	objectAt,
	placeOfTests,
	type StoredRecord,
	storedOf,
} from "../audit/support.ts";
import { expectProblem } from "../support/answers.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

const each = 200;
const count = 1_400;
const broken = "audit_chain_broken";

let tenant: Tenant;
let place: string;
/** In Postgres, in the order of the one chain. */
let stored: StoredRecord[];

beforeEach(async () => {
	tenant = await newTenant();
	place = placeOfTests(tenant.id);
	for (let made = 0; made < count; made += each) {
		await objectAt(place).append(joinAppends([newAppend(place, each)]), false);
	}
	await drain(place);
	stored = await storedOf(tenant.id);
});

function at(sequence: number): StoredRecord {
	const found = stored[sequence - 1];
	if (found?.sequence !== sequence) throw new RangeError(`there is no number ${sequence}`);
	return found;
}

function proofOf(sequence: number) {
	return tenant.call("GET", `/v1/audit/records/${at(sequence).id}/proof`);
}

/** What anyone can do who can write to Postgres: another name, and links that fit it, up to `last`. */
async function rewrite(sequence: number, last: number): Promise<void> {
	let head: ChainHead = { sequence: sequence - 1, link: fromHex(at(sequence - 1).link) };
	const links: string[] = [];
	for (const { link: _, ...record } of stored.slice(sequence - 1, last)) {
		const isIt = record.sequence === sequence;
		const told = isIt ? { ...record, target: { ...record.target, name: "innocent" } } : record;
		head = linked(head, leafOf(canonicalRecord(told)));
		links.push(toHex(head.link));
	}
	const sql = ownerSql();
	await sql.query("update audit_events set target_name = $3 where tenant_id = $1 and id = $2", [
		...[tenant.id, at(sequence).id, "innocent"],
	]);
	await sql.query(
		`update audit_events set link = decode(made.link, 'hex')
		from unnest($2::bigint[], $3::text[]) as made (sequence, link)
		where tenant_id = $1 and audit_events.sequence = made.sequence`,
		[tenant.id, links.map((_, index) => sequence + index), links],
	);
}

async function remove(sequence: number): Promise<void> {
	const { id } = at(sequence);
	const sql = "delete from audit_events where tenant_id = $1 and id = $2";
	await ownerSql().query(sql, [tenant.id, id]);
}

describe("the proof of a record that is far from the head of its chain", () => {
	it("is signed where it leads to a link that its object kept, wherever it stands", async () => {
		const { keys } = (await tenant.call("GET", "/.well-known/audit-jwks.json")).json;
		const read = await createStatementReader(keys);
		await evict(place);
		for (const sequence of [1, 2, 100, 399, count - limits.auditPathRecords - 1]) {
			const proof = await proofOf(sequence);
			expect(proof.json).toMatchObject({ path: null, archived: null, record: { sequence } });
			expect(await verifyProof(proof.text, read)).toMatchObject({ findings: [], isPlaced: true });
		}
	});

	it.each([
		["its own link alone", 100],
		["those of some that follow", 300],
		["all links up to the head", count],
	])("is not signed when it was changed in Postgres, and with it %s", async (_, last) => {
		await rewrite(100, last);
		expectProblem(await proofOf(100), 500, broken);
		// What is before it leads through it.
		expectProblem(await proofOf(50), 500, broken);
	});

	it("is not signed with a number that its chain does not have", async () => {
		const sql =
			"update audit_events set sequence = sequence + 900000 where tenant_id = $1 and sequence > $2";
		await ownerSql().query(sql, [tenant.id, count - 2]);
		expectProblem(await proofOf(count), 500, broken);
	});

	it("is signed where a record came late, and stands for long before the others of its block", async () => {
		const own = await newTenant();
		const there = placeOfTests(own.id);
		const minuteAgo = firstRecordId(uuidv7(() => Date.now() - 61_000, systemRandom));
		const late = newAppend(there, 1, {}, minuteAgo);
		for (const append of [newAppend(there, limits.auditMarkRecords - 1), late]) {
			await objectAt(there).append(joinAppends([append]), false);
		}
		for (let made = 0; made < limits.auditPathRecords; made += each) {
			await objectAt(there).append(joinAppends([newAppend(there, each)]), false);
		}
		await drain(there);
		const [first, second] = await storedOf(own.id);
		for (const record of [first, second]) {
			const proof = await own.call("GET", `/v1/audit/records/${record?.id}/proof`);
			expect(proof.json).toMatchObject({ path: null, signed: expect.any(String) });
		}
	});

	it("is not signed where one that follows is gone, nor where the one before it is", async () => {
		await remove(150);
		expect((await proofOf(100)).json).toMatchObject({ signed: null, path: null });
		expect((await proofOf(151)).json).toMatchObject({ signed: null, path: null });
		expect((await proofOf(152)).json.signed).toEqual(expect.any(String));
	});

	it("leads to the end of a block, where none of the next records has moved", async () => {
		for (let made = 0; made < count; made += each) {
			await objectAt(place).append(joinAppends([newAppend(place, each)]), false);
		}
		const last = await proofOf(count);
		expect(last.json.path).toBeNull();
		expect(last.json.signed).toEqual(expect.any(String));
	});
});
