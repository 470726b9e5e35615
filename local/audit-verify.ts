import { open as openFile } from "node:fs/promises";
import { isDeepStrictEqual, parseArgs } from "node:util";
import { type Checkpoint, isSound } from "../src/audit/checkpoint.ts";
import { type AuditJwk, createStatementReader, type StatementReader } from "../src/audit/signer.ts";
import { ExportVerifier, type Verdict } from "../src/audit/verify.ts";
import { verifyParquet } from "../src/audit/verify-parquet.ts";
import { type ProofVerdict, verifyProof } from "../src/audit/verify-proof.ts";
import type { Finding } from "../src/audit/walk.ts";
import { parseJson } from "../src/lib/json.ts";
import * as limits from "../src/limits.ts";
import {
	bufferOf,
	counting,
	kept,
	open,
	peek,
	textOf,
	tokenGiven,
	whole,
} from "./audit-sources.ts";
import { linesOf } from "./lines.ts";
import { Problem, runCommand } from "./problem.ts";
import { progressBar, showProgress } from "./progress.ts";

/** What was read is not what the service signed. */
class Findings extends Problem {}

const findingsShown = 100;
/** Of keys that nobody gave. */
const strangersNamed = 3;

/** Checks an export of the audit log, or the proof of a record, with nothing but the public key. */
async function main(args: string[]): Promise<void> {
	const { values, positionals } = parseArgs({
		args,
		options: { keys: { type: "string", multiple: true }, since: { type: "string" } },
		allowPositionals: true,
	});
	const [source, ...others] = positionals;
	if (!source || others.length > 0) {
		throw new Problem(
			"name one export, proof or checkpoint: a file, a URL, or - for standard input",
		);
	}
	if (!values.keys) {
		throw new Problem(
			"name the public keys with --keys: /.well-known/audit-jwks.json, kept earlier",
		);
	}
	const strangers = new Set<string>();
	const statements = await readerOf(values.keys, (kid) => {
		// It is whoever's who made the file, and a terminal obeys more than letters.
		const shown = kid.slice(0, limits.valueCharsShown).replace(/[^ -~]/g, "?");
		if (strangers.size < strangersNamed) strangers.add(shown);
	});
	try {
		await verify(source, statements, values.since);
	} catch (error) {
		if (error instanceof Findings && strangers.size > 0) {
			console.error(
				`hint: statements name the key ${[...strangers].join(", ")}, which none of the given sets has. The service's key changes with its key-encryption key: give the sets of both times, each with --keys`,
			);
		}
		throw error;
	}
}

async function verify(
	source: string,
	statements: StatementReader,
	kept: string | undefined,
): Promise<void> {
	const since = kept === undefined ? null : (await checkpointOf(kept, statements)).checkpoint;
	const { stream, bytes } = await open(source, tokenGiven());
	const opened = await peek(stream);
	const document = () => whole(counting(source, opened.rest, () => {}));
	if (beginsWith(opened.first, [...membersOfProof, "checkpoint"])) {
		const text = await document();
		if (!isCheckpoint(opened.first, text)) {
			return reportProof(await verifyProof(text, statements, since), kept);
		}
		if (since) throw new Problem("--since is for an export or a proof: a checkpoint has no links");
		return reportCheckpoint(await readCheckpoint(text, statements), source);
	}
	const verifier = new ExportVerifier(statements, since);
	try {
		if (isParquet(opened.first)) await readParquet(source, opened.rest, bytes !== null, verifier);
		else await readLines(source, opened.rest, bytes, verifier);
	} finally {
		showProgress("");
	}
	report(verifier.done(), isParquet(opened.first) ? "row" : "line");
}

async function readLines(
	source: string,
	stream: AsyncIterable<Uint8Array>,
	bytes: number | null,
	verifier: ExportVerifier,
): Promise<void> {
	let read = 0;
	const chunks = counting(source, stream, (length) => (read += length));
	let lines = 0;
	for await (const line of linesOf(chunks, limits.auditExportLineBytes)) {
		await verifier.line(line);
		if (++lines % 1_000 === 0) showProgress(progressBar(read, bytes, `${lines} lines`));
	}
}

/** What stands at the end of such a file is read first, so one that comes from elsewhere is kept until it was read. */
async function readParquet(
	source: string,
	stream: AsyncIterable<Uint8Array>,
	isFile: boolean,
	verifier: ExportVerifier,
): Promise<void> {
	const handle = isFile
		? await openFile(source, "r")
		: await kept(counting(source, stream, () => {}));
	try {
		const { size } = await handle.stat();
		await verifyParquet(bufferOf(handle, size), verifier, (rows, all) =>
			showProgress(progressBar(rows, all, `${rows} rows`)),
		);
	} finally {
		await handle.close();
	}
}

const membersOfProof = ["record", "canonical", "leaf", "signed", "path", "archived"];

/** Whether it is a JSON document that begins with one of these members, however it was written since. */
function beginsWith(first: Uint8Array, members: readonly string[]): boolean {
	const text = Buffer.from(first.subarray(0, 256)).toString("utf8");
	return members.includes(/^\uFEFF?\s*\{\s*"(\w+)"/.exec(text)?.[1] ?? "");
}

/** Of a JSON document: a proof, which may be cut off, has its checkpoint as a statement, behind its record. */
function isCheckpoint(first: Uint8Array, text: string): boolean {
	const { record, checkpoint } = membersOf(text);
	if (record !== undefined) return false;
	return (
		beginsWith(first, ["checkpoint"]) || (typeof checkpoint === "object" && checkpoint !== null)
	);
}

function isParquet(first: Uint8Array): boolean {
	return Buffer.from(first.subarray(0, 4)).toString("latin1") === "PAR1";
}

function report(verdict: Verdict, place: "line" | "row"): void {
	const { records, chains, findings, found, isWhole, checkpoint, expired, filter } = verdict;
	tell(findings.slice(0, findingsShown), place);
	if (found > 0) {
		if (verdict.dropped > 0) console.error(apart);
		const shown = found > findingsShown ? `, of which the first ${findingsShown} are told` : "";
		const what = checkpoint
			? "this is not what the service signed."
			: "the first line is none of an export that these keys have signed, so nothing was checked against it.";
		throw new Findings(
			`${counted(found, "finding")} in ${counted(records, "record")}${shown}: ${what}`,
		);
	}
	const what = `${counted(records, "record")} in ${counted(chains, "chain")} of the tenant ${checkpoint?.tenant}`;
	const how = isWhole
		? "every record up to the checkpoint"
		: `a part, by its filter ${wordsOf(filter)}, up to the checkpoint`;
	console.log(`${what} ${records === 1 ? "holds" : "hold"}: ${how} of ${checkpoint?.at}.`);
	if (verdict.dropped > 0) console.log(apart);
	if (expired.days > 0) {
		const days = counted(expired.days, "day");
		console.log(
			`${counted(expired.records, "record")} of ${days} before were deleted, because they were old enough.`,
		);
	}
	for (const id of checkpoint?.ended ?? []) {
		console.log(`The chain ${id} lost its object; nobody signs where it ended.`);
	}
	for (const id of checkpoint?.unknown ?? []) {
		console.log(
			`The chain ${id} stands in Postgres alone; the kept checkpoint vouches for it up to where it ended then.`,
		);
	}
}

function reportProof(
	{ findings, record, isPlaced, checkpoint, passesKept, day }: ProofVerdict,
	since: string | undefined,
): void {
	tell(findings, "line");
	if (findings.length > 0 || !record) throw new Findings("this is not what the service signed.");
	if (since !== undefined && passesKept === null) {
		throw new Findings(
			`the links of this proof do not come by ${since}, which is of another place`,
		);
	}
	const { id, action, target, at, chain, sequence } = record;
	const what = [action, target.name ?? target.id, `at ${at}`].join(" ");
	const place = isPlaced
		? `number ${sequence} of the chain ${chain}`
		: "whose place in a chain nothing proves";
	console.log(`The record ${id} holds: ${what}, ${place}.`);
	if (checkpoint) {
		const by = passesKept ? `, by way of ${since}` : "";
		const links = counted(checkpoint.links, "link");
		console.log(`${links} to the checkpoint of ${checkpoint.at}${by}.`);
	}
	if (day) console.log(`It is a leaf of the manifest of ${day}.`);
	if (!checkpoint && !day) {
		console.log(
			"That it stands there is the service's word: no hashes lead from it to the head of its chain.",
		);
	}
}

function tell(findings: readonly Finding[], place: "line" | "row"): void {
	for (const { kind, line, message } of findings) {
		console.error(`${kind}${line === null ? "" : ` (${place} ${line})`}: ${message}`);
	}
}

/** What is said where stretches of the chains were let go of (`ExportVerifier`). */
const apart =
	`The records are of more than ${limits.auditVerifyRuns} stretches of the chains: ` +
	"neighbours with so many of them in between were not checked against each other.";

function counted(count: number, noun: string): string {
	return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `key=payments action=sign`, as the query had it. */
function wordsOf(filter: Verdict["filter"]): string {
	return Object.entries(filter ?? {})
		.filter(([, value]) => value !== null)
		.map(([name, value]) => `${name}=${value}`)
		.join(" ");
}

/** Of all that were kept: while keys change, one set may have signed what another has not. */
async function readerOf(
	places: readonly string[],
	onStranger: (kid: string) => void,
): Promise<StatementReader> {
	const keys = (await Promise.all(places.map(keysOf))).flat();
	const where = places.join(", ");
	const strange = () => new Problem(`${where} has a key that is no Ed25519 key of an audit log`);
	if (!keys.every(isAuditKey)) throw strange();
	return createStatementReader(keys, onStranger).catch(() => {
		throw strange();
	});
}

function isAuditKey(key: Partial<AuditJwk> | null): key is AuditJwk {
	const { kty, crv, x, kid } = key ?? {};
	return kty === "OKP" && crv === "Ed25519" && typeof x === "string" && typeof kid === "string";
}

async function keysOf(place: string): Promise<readonly (Partial<AuditJwk> | null)[]> {
	const text = await textOf(place, null);
	try {
		const { keys } = JSON.parse(text) as { keys?: readonly AuditJwk[] };
		if (Array.isArray(keys) && keys.length > 0) return keys;
	} catch {
		// Said below.
	}
	throw new Problem(`${place} is no JWK Set`);
}

/** A checkpoint that was kept, as the service answered it; what it says beside that is not read. */
async function checkpointOf(place: string, statements: StatementReader): Promise<SignedCheckpoint> {
	const found = await readCheckpoint(await textOf(place, tokenGiven()), statements);
	if (!found) throw new Problem(`${place} is no checkpoint that one of these keys has signed`);
	return found;
}

interface SignedCheckpoint {
	readonly checkpoint: Checkpoint;
	/** Whether what stands beside it, for people to read, is the same. */
	readonly isShown: boolean;
}

/** null where nobody has signed it. */
async function readCheckpoint(
	text: string,
	statements: StatementReader,
): Promise<SignedCheckpoint | null> {
	const members = membersOf(text);
	const jws = typeof members.signed === "string" ? members.signed : "";
	const checkpoint = (await statements("edgesign-audit-checkpoint+jwt", jws)) as Checkpoint | null;
	return (
		checkpoint && { checkpoint, isShown: isDeepStrictEqual(members, { checkpoint, signed: jws }) }
	);
}

/** Of a JSON object without a name that stands twice, of which readers take the one or the other; none of anything else. */
function membersOf(text: string): Readonly<Record<string, unknown>> {
	const parsed = parseJson(text.replace(/^\uFEFF/, ""), limits.jsonDepth, text.length);
	const value = parsed.ok ? parsed.value : null;
	return typeof value === "object" && value !== null ? { ...value } : {};
}

function reportCheckpoint(found: SignedCheckpoint | null, source: string): void {
	if (!found) throw new Findings(`${source} is no checkpoint that one of these keys has signed.`);
	const { checkpoint, isShown } = found;
	if (!isShown) {
		throw new Findings(`what ${source} says beside its signed statement is not what was signed.`);
	}
	if (!isSound(checkpoint)) throw new Findings("the checkpoint's root is not that of its chains.");
	const { tenant, at, chains } = checkpoint;
	const records = chains.reduce((sum, { sequence }) => sum + sequence, 0);
	console.log(
		`The checkpoint of the tenant ${tenant} of ${at} holds: ${counted(chains.length, "chain")}, ${counted(records, "record")}.`,
	);
}

const usage = `npm run audit:verify -- FILE|URL|- --keys FILE|URL [--keys ...] [--since FILE|URL]

Checks an export of the audit log (NDJSON or Parquet), the proof of a record, or a checkpoint, offline: links, roots
and signatures (docs/guides/audit.md). Exit codes: 0 it holds, 1 it is not what was signed, 2 it could not be read.
The keys are those of /.well-known/audit-jwks.json, several sets where they have changed. A URL is asked with the
token in EDGESIGN_TOKEN.
With --since the export must go on from a checkpoint that was kept, and a proof's links must come by it.`;

if (import.meta.main) {
	await runCommand(main, usage, (error) => (error instanceof Findings ? 1 : 2));
}
