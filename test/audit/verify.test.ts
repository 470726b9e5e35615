import { beforeAll, describe, expect, it } from "vitest";
import { joinAppends } from "../../src/audit/block.ts";
import { chainStart, leafOf, linked } from "../../src/audit/chain.ts";
import { type Checkpoint, checkpointOf } from "../../src/audit/checkpoint.ts";
import { writeExport } from "../../src/audit/export.ts";
import { decodeRecord, splitAppend } from "../../src/audit/record.ts";
import { createAuditSigner, createStatementReader } from "../../src/audit/signer.ts";
import type { SourcedRecord } from "../../src/audit/source.ts";
import { unfiltered } from "../../src/audit/source.ts";
import { ExportVerifier, type Verdict } from "../../src/audit/verify.ts";
import { call, newTenant, type Tenant } from "../support/tenant.ts";
import { ExportForger } from "./forger.ts";
import { drain, newAppend, objectAt, placeOfTests } from "./support.ts";

type Line = ReturnType<typeof JSON.parse>;

let tenant: Tenant;
let lines: string[];
let keys: { kid: string; x: string }[];

/** Some of its records are in Postgres and some in two objects, one of which is elsewhere. */
beforeAll(async () => {
	tenant = await newTenant();
	const here = placeOfTests(tenant.id);
	const there = `${tenant.id}/oc/0`;
	await append(here, 5);
	await append(there, 4);
	await drain(here);
	await append(there, 3);
	await append(here, 6);
	keys = (await call("GET", "/.well-known/audit-jwks.json")).json.keys;
	lines = await exported("");
});

async function append(place: string, count: number): Promise<void> {
	for (let done = 0; done < count; done++) {
		await objectAt(place).append(joinAppends([newAppend(place)]), false);
	}
}

async function exported(query: string): Promise<string[]> {
	const answer = await tenant.call("GET", `/v1/audit/export${query}`);
	expect(answer.status, answer.text).toBe(200);
	expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
	expect(answer.text.endsWith("\n")).toBe(true);
	return answer.text.trimEnd().split("\n");
}

async function verify(
	text: readonly (string | null)[],
	by = keys,
	since: Checkpoint | null = null,
): Promise<Verdict> {
	const verifier = new ExportVerifier(await createStatementReader(by), since);
	for (const line of text) await verifier.line(line);
	return verifier.done();
}

/** The line of the record n, changed. */
function edited(n: number, edit: (line: Line) => void): string[] {
	return lines.map((line) => {
		const value = JSON.parse(line);
		if (value.n === n) edit(value);
		return JSON.stringify(value);
	});
}

const kindsOf = ({ findings }: Verdict) => [...new Set(findings.map(({ kind }) => kind))];
const idOf = (n: number) => JSON.parse(lines[n] ?? "").record.id as string;

describe("an export", () => {
	it("holds, with every record of every chain up to the checkpoint", async () => {
		const verdict = await verify(lines);
		expect(verdict).toMatchObject({ records: 18, chains: 2, findings: [], isWhole: true });
		expect(verdict.checkpoint?.chains.map(({ sequence }) => sequence).sort()).toEqual([11, 7]);
	});

	it("of a part holds too", async () => {
		const records = lines.slice(1, -1).map((line) => JSON.parse(line).record);
		const part = await exported(`?key=${records[3].target.id}`);
		expect(await verify(part)).toMatchObject({ records: 1, findings: [], isWhole: false });
		const [from, to] = [records[10].at, records[2].at];
		const window = await verify(await exported(`?from=${from}&to=${to}`));
		const wanted = records.filter(({ at }) => at >= from && at < to).length;
		expect(window).toMatchObject({ records: wanted, findings: [] });
	});

	it("says nothing of what came after its checkpoint", async () => {
		const checkpoint = await tenant.call("GET", "/v1/audit/checkpoint");
		expect(await verify(lines)).toMatchObject({
			checkpoint: {
				chains: checkpoint.json.checkpoint.chains,
				root: checkpoint.json.checkpoint.root,
			},
		});
	});
});

describe("the verifier names", () => {
	it.each([
		[
			"a field that is shown",
			(line: Line) => {
				line.record.outcome = "invalid";
			},
		],
		[
			"a digest",
			(line: Line) => {
				line.record.signatureSha256 = `${"A".repeat(43)}=`;
			},
		],
		[
			"the bytes",
			(line: Line) => {
				line.canonical[1] = line.canonical[1].replace(/^..../, "AAAC");
			},
		],
		[
			"the link",
			(line: Line) => {
				line.record.link = `${"A".repeat(43)}=`;
			},
		],
		[
			"the place",
			(line: Line) => {
				line.record.sequence += 1;
			},
		],
	])("a record that was changed: %s", async (_, edit) => {
		const { findings } = await verify(edited(7, edit));
		expect(findings[0]).toMatchObject({ kind: "changed", line: 8 });
		expect(findings[0]?.message).toMatch(/^record 7, /);
	});

	it("a record that is missing, and no other one", async () => {
		const verdict = await verify(lines.filter((_, index) => index !== 7));
		expect(kindsOf(verdict)).toEqual(["missing"]);
		expect(verdict.findings[0]?.message).toBe("record 7 of the export");
		const { chain, sequence } = JSON.parse(lines[7] ?? "").record;
		expect(verdict.findings[1]?.message).toBe(`number ${sequence} of the chain ${chain}`);
	});

	it("the last record when it is missing", async () => {
		const verdict = await verify(lines.filter((_, index) => index !== 18));
		expect(verdict.findings[0]).toMatchObject({
			kind: "missing",
			message: "record 18 of the export",
		});
	});

	it("a record that was added", async () => {
		const verdict = await verify(lines.toSpliced(9, 0, lines[7] ?? ""));
		expect(verdict.findings).toMatchObject([{ kind: "added", line: 10 }]);
		expect(verdict.findings[0]?.message).toContain(idOf(7));
	});

	it("a line after the end", async () => {
		const verdict = await verify([...lines, lines[7] ?? ""]);
		expect(verdict.findings).toMatchObject([{ kind: "added", line: 21 }]);
	});

	it("records that changed their places", async () => {
		const verdict = await verify(lines.with(7, lines[8] ?? "").with(8, lines[7] ?? ""));
		expect(verdict.findings).toMatchObject([{ kind: "reordered", line: 9 }]);
		expect(verdict.findings[0]?.message).toContain(idOf(7));
	});

	it("where it was cut off", async () => {
		const verdict = await verify(lines.slice(0, 10));
		expect(verdict.findings[0]).toMatchObject({ kind: "cut_off" });
		expect(verdict.findings[0]?.message).toContain("after record 9");
		expect(kindsOf(verdict)).toEqual(["cut_off", "missing"]);
	});

	it("a stretch whose digests were all made anew, by its signature, and the record by its chain", async () => {
		const verdict = await verify(new ExportForger(lines).without(7));
		expect(kindsOf(verdict).sort()).toEqual(["missing"]);
		const changed = await verify(new ExportForger(lines).withOutcome(7, "invalid"));
		expect(kindsOf(changed)).toEqual(["changed"]);
		expect(changed.findings.map(({ message }) => message).join()).toContain(idOf(7));
	});

	it("another key's signatures, and the end of another export", async () => {
		const [own] = keys;
		const other = (await crypto.subtle.generateKey({ name: "Ed25519" }, true, [
			"sign",
			"verify",
		])) as CryptoKeyPair;
		const { x } = (await crypto.subtle.exportKey("jwk", other.publicKey)) as JsonWebKey;
		const strange = await verify(lines, [{ kid: own?.kid ?? "", x: x ?? "" }]);
		expect(kindsOf(strange)).toContain("forged");
		const again = await exported("");
		const spliced = await verify([...lines.slice(0, -1), again.at(-1) ?? ""]);
		expect(spliced.findings[0]).toMatchObject({ kind: "forged", line: 20 });
	});

	it("a line that is none", async () => {
		const verdict = await verify(lines.with(7, "{"));
		expect(verdict.findings[0]).toMatchObject({ kind: "unreadable", line: 8 });
		const unheld = await verify([...lines.slice(0, 7), null, ...lines.slice(8)]);
		expect(unheld.findings[0]).toMatchObject({ kind: "unreadable", line: 8 });
	});

	it.each([0, -1, 1.5, 2 ** 53, "7", null, undefined])("a record with the number %j", async (n) => {
		const changed = edited(7, (line) => Object.assign(line, { n }));
		const { findings } = await verify(changed);
		expect(findings[0]).toMatchObject({ kind: "unreadable", line: 8 });
		expect(kindsOf(await verify(changed))).toEqual(["unreadable", "missing"]);
	});

	it.each([
		["the chain's id in upper case", (line: Line) => line.record.chain.toUpperCase(), "chain"],
		["a number in the chain that is none", () => "7", "sequence"],
		["a number in the chain that is no whole one", () => 1.5, "sequence"],
	])("a record with %s", async (_, value, field) => {
		const changed = edited(7, (line) => {
			line.record[field] = value(line);
		});
		const { findings } = await verify(changed);
		expect(findings[0]).toMatchObject({ kind: "unreadable", line: 8 });
	});

	it.each([
		["a member more", 7, (text: string) => text.replace("{", '{"note":"approved",')],
		["a member twice", 7, (text: string) => text.replace("{", '{"record":{"outcome":"no"},')],
		["white space", 7, (text: string) => `${text} `],
		["an escape", 7, (text: string) => text.replace('"ok"', '"\\u006fk"')],
		["base64 in another form", 7, (text: string) => text.replaceAll("=", "")],
		["a member more behind the end", 19, (text: string) => text.replace("}", ',"note":"good"}')],
	])("a line that is written otherwise: %s", async (_, at, edit) => {
		const text = lines[at] ?? "";
		expect(edit(text)).not.toBe(text);
		const { findings } = await verify(lines.with(at, edit(text)));
		expect(findings).toMatchObject([{ kind: "changed", line: at + 1 }]);
	});

	it("a seal that has a member more", async () => {
		const seal = (more: string) => lines.toSpliced(9, 0, `{"seal":"unsigned"${more}}`);
		expect(kindsOf(await verify(seal("")))).toEqual(["forged"]);
		expect(kindsOf(await verify(seal(',"note":1')))).toEqual(["changed", "forged"]);
	});

	it.each([
		["no checkpoint", (header: Line) => delete header.checkpoint],
		["a number in its place", (header: Line) => Object.assign(header, { checkpoint: 5 })],
		["no filter", (header: Line) => Object.assign(header, { filter: null })],
		["no id", (header: Line) => delete header.id],
	])("a first line with %s", async (_, edit) => {
		const value = JSON.parse(lines[0] ?? "");
		edit(value.export);
		const verdict = await verify(lines.with(0, JSON.stringify(value)));
		expect(verdict.findings[0]).toMatchObject({ kind: "unreadable", line: 1 });
	});

	it("where an export without records is not signed", async () => {
		const [first = "", end = ""] = await exported("?action=warmCache");
		const { findings } = await verify([first, lines.at(-1) ?? end]);
		expect(findings).toMatchObject([{ kind: "forged", line: 2 }]);
		expect(findings[0]?.message).toContain("behind no record is");
		const cut = await verify([first]);
		expect(cut.findings[0]?.message).toContain("before its first record");
	});
});

describe("an export with a filter, beside a checkpoint that was kept", () => {
	const kept = async () => {
		const { checkpoint } = (await tenant.call("GET", "/v1/audit/checkpoint")).json;
		return checkpoint as Checkpoint;
	};
	const part = () => exported("?action=sign&to=2000-01-01T00:00:00Z");

	it("holds where it goes on from it, and says what it is of", async () => {
		const verdict = await verify(await part(), keys, await kept());
		const filter = { action: "sign", to: "2000-01-01T00:00:00.000Z" };
		expect(verdict).toMatchObject({ findings: [], isWhole: false, filter });
		expect(verdict.checkpoint?.tenant).toBe(tenant.id);
	});

	it.each<[string, string, (checkpoint: Checkpoint) => Partial<Checkpoint>]>([
		[
			"ends earlier",
			"missing",
			({ chains }) => ({
				chains: chains.map((head) => ({ ...head, sequence: head.sequence + 1 })),
			}),
		],
		[
			"has another record at the same place",
			"changed",
			({ chains }) => ({ chains: chains.map((head) => ({ ...head, link: "AAAA" })) }),
		],
		["is another tenant's", "forged", () => ({ tenant: "other" })],
	])("fails where it %s", async (_, kind, change) => {
		const checkpoint = await kept();
		const verdict = await verify(await part(), keys, { ...checkpoint, ...change(checkpoint) });
		expect(kindsOf(verdict)).toEqual([kind]);
	});
});

describe("the verifier tells apart", () => {
	const otherFilter = (text: string) => text.replace('"action":null', '"action":"sign"');

	it("a first line that was changed from its record", async () => {
		const [first = ""] = lines;
		expect(otherFilter(first)).not.toBe(first);
		const { findings } = await verify(lines.with(0, otherFilter(first)));
		const message = `record 1, ${idOf(1)}, or the first line of the export`;
		expect(findings).toEqual([{ kind: "changed", line: 2, message }]);
	});

	it("a first record that was changed, as far as it can", async () => {
		const changed = edited(1, (line) => {
			line.record.outcome = "invalid";
		});
		const { findings } = await verify(changed);
		expect(findings).toMatchObject([{ kind: "changed", message: `record 1, ${idOf(1)}` }]);
	});

	it("a first line without records behind it", async () => {
		const [first = "", end = ""] = await exported("?token=01900000-0000-7000-8000-000000000009");
		const { findings } = await verify([otherFilter(first), end]);
		expect(findings).toMatchObject([{ kind: "changed", line: 2 }]);
		expect(findings[0]?.message).toMatch(/^the first line, /);
	});

	it("line ends that were changed from what else was, and tells them once", async () => {
		const returned = (text: readonly string[]) => text.map((line) => `${line}\r`);
		const verdict = await verify(returned(lines));
		expect(verdict).toMatchObject({ records: 18, isWhole: true, found: 1 });
		expect(verdict.findings).toMatchObject([{ kind: "changed", line: 1 }]);
		expect(verdict.findings[0]?.message).toContain("line ends were changed");
		const both = edited(7, (line) => {
			line.record.outcome = "invalid";
		});
		const { findings } = await verify(returned(both));
		expect(findings.map(({ line }) => line)).toEqual([1, 8]);
		const some = await verify(lines.map((line, at) => (at < 3 ? line : `${line}\r`)));
		expect(some.findings).toMatchObject([{ kind: "changed", line: 4 }]);
	});
});

describe("the verifier keeps no more than it may", () => {
	const kek = { id: "test", bytes: new Uint8Array(32) };
	const signer = createAuditSigner([kek]);
	const name = { id: "019aa000-0000-7000-8000-000000000000", tenant: "main" };
	const chain = { ...name, region: "weur", shard: 0 };

	/** An export of some of a chain's 100 records, as the service would sign it. */
	async function signedOf(isLeft: (sequence: number) => boolean, action: string | null) {
		let head = chainStart(chain);
		const records = splitAppend(newAppend(placeOfTests("main"), 100)).map((encoded) => {
			head = linked(head, leafOf(encoded));
			return { ...head, record: decodeRecord(encoded), chain: chain.id } as SourcedRecord;
		});
		const left = records.filter(({ sequence }) => isLeft(sequence)).reverse();
		const checkpoint = checkpointOf(
			"main",
			{ heads: [{ ...chain, ...head }], ended: [], unknown: [] },
			0,
		);
		const source = { read: async () => ({ records: left, reached: null }) };
		const filter = { ...unfiltered, tenant: "main", action };
		const expired = async function* () {};
		const hasBegun = async () => false;
		const request = { id: "export", filter, checkpoint, source, signer, hasBegun, expired };
		let text = "";
		for await (const piece of writeExport(request)) text += piece;
		return text.trimEnd().split("\n");
	}

	async function bounded(text: readonly string[]) {
		const most = { runs: 10, gaps: 4, findings: 3 };
		const reader = await createStatementReader(await signer.publicKeys());
		const verifier = new ExportVerifier(reader, null, most);
		for (const line of text) await verifier.line(line);
		return verifier.done();
	}

	const isEven = (sequence: number) => sequence % 2 === 0;

	it("of a part, which holds", async () => {
		const verdict = await bounded(await signedOf(isEven, "sign"));
		expect(verdict).toMatchObject({ records: 50, findings: [], isWhole: false });
		expect(verdict.dropped).toBeGreaterThanOrEqual(40);
	});

	it("of a whole export, all of which it needs for as long as that may hold", async () => {
		const holds = await bounded(await signedOf(() => true, null));
		expect(holds).toMatchObject({ records: 100, findings: [], isWhole: true, dropped: 0 });
		const torn = await bounded(await signedOf(isEven, null));
		expect(torn).toMatchObject({ found: 50, isWhole: true, dropped: 0 });
		const message = `number 1 of the chain ${chain.id}`;
		expect(torn.findings[0]).toMatchObject({ kind: "missing", message });
	});

	it("of a whole export that does not hold anyway", async () => {
		const all = await signedOf(isEven, null);
		const { found, findings, dropped } = await bounded(all.with(0, `${all[0]}\r`));
		expect(dropped).toBeGreaterThanOrEqual(40);
		expect(found).toBe(2);
		expect(findings[1]?.message).toMatch(/^50 numbers, in too many places to be named/);
	});

	it("of what it finds, and says how much that was", async () => {
		const all = await signedOf(() => true, null);
		const torn = all.filter((_, at) => at === 0 || at % 2 === 1);
		const { found, findings } = await bounded(torn);
		expect(findings).toHaveLength(3);
		// The lines that are not there, and what is said of their chain.
		expect(found).toBe(50 + 1);
		expect(findings.map(({ message }) => message)).toContain("record 98 of the export");
	});
});

describe("an export of many records", () => {
	it("has seals on its way, each of which stands for its stretch", async () => {
		const place = placeOfTests(tenant.id);
		for (let done = 0; done < 3; done++) {
			await objectAt(place).append(joinAppends([newAppend(place, 4000)]), false);
		}
		const long = await exported("");
		const isSeal = (line: string) => line.startsWith('{"seal"');
		expect(long.filter(isSeal)).toHaveLength(1);
		expect(await verify(long)).toMatchObject({ records: 12_018, findings: [], isWhole: true });
		const unsealed = await verify(long.filter((line) => !isSeal(line)));
		expect(unsealed.findings).toEqual([]); // the end stands for all of them
		const forged = new ExportForger(long.slice(0, 9_000)).withOutcome(5_000, "invalid");
		const { findings } = await verify([...forged.slice(0, -1), ...long.slice(8_999)]);
		expect(findings[0]).toMatchObject({ kind: "changed", line: 5_001 });
	});
});
