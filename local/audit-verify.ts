import { createReadStream, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { parseArgs } from "node:util";
import type { Checkpoint } from "../src/audit/checkpoint.ts";
import { type AuditJwk, createStatementReader, type StatementReader } from "../src/audit/signer.ts";
import { ExportVerifier, type Verdict } from "../src/audit/verify.ts";
import { Problem, runCommand } from "./problem.ts";

const findingsShown = 100;

/** Checks an export of the audit log with nothing but the public key. */
async function main(args: string[]): Promise<void> {
	const { values, positionals } = parseArgs({
		args,
		options: { keys: { type: "string" }, since: { type: "string" } },
		allowPositionals: true,
	});
	const [source, ...others] = positionals;
	if (!source || others.length > 0) throw new Problem("name one export: a file or a URL");
	if (!values.keys) {
		throw new Problem(
			"name the public keys with --keys: /.well-known/audit-jwks.json, kept earlier",
		);
	}
	const statements = await createStatementReader(await keysOf(values.keys));
	const since = values.since === undefined ? null : await checkpointOf(values.since, statements);
	const verifier = new ExportVerifier(statements, since);
	const { stream, bytes } = await open(source);
	let read = 0;
	const counted = Readable.from(counting(stream, (length) => (read += length)));
	let lines = 0;
	for await (const line of createInterface({
		input: counted,
		crlfDelay: Number.POSITIVE_INFINITY,
	})) {
		await verifier.line(line);
		if (++lines % 1_000 === 0) showProgress(read, bytes, lines);
	}
	showProgress(read, read, lines);
	report(verifier.done());
}

function report({ records, chains, findings, isWhole, checkpoint }: Verdict): void {
	for (const { kind, line, message } of findings.slice(0, findingsShown)) {
		console.error(`${kind}${line === null ? "" : ` (line ${line})`}: ${message}`);
	}
	if (findings.length > 0) {
		throw new Problem(
			`${findings.length} findings in ${records} records: this is not what the service signed.`,
		);
	}
	const what = isWhole ? "every record up to the checkpoint" : "a part, by its filter";
	console.log(`${records} records in ${chains} chains hold: ${what} of ${checkpoint?.at}.`);
	for (const id of checkpoint?.ended ?? []) {
		console.log(`The chain ${id} lost its object; nobody signs where it ended.`);
	}
}

async function keysOf(place: string): Promise<readonly AuditJwk[]> {
	const text = isUrl(place)
		? await (await request(place)).text()
		: await readFile(place, "utf8").catch(() => unreadable(place));
	try {
		const { keys } = JSON.parse(text) as { keys?: readonly AuditJwk[] };
		if (keys && keys.length > 0) return keys;
	} catch {
		// Said below.
	}
	throw new Problem(`${place} is no JWK Set`);
}

/** A checkpoint that was kept, as the service answered it. */
async function checkpointOf(place: string, statements: StatementReader): Promise<Checkpoint> {
	const text = await readFile(place, "utf8").catch(() => unreadable(place));
	const { signed } = JSON.parse(text) as { signed?: string };
	const checkpoint = await statements("edgesign-audit-checkpoint+jwt", signed ?? "");
	if (!checkpoint) throw new Problem(`${place} is no checkpoint that one of these keys has signed`);
	return checkpoint as Checkpoint;
}

async function open(
	source: string,
): Promise<{ stream: AsyncIterable<Uint8Array>; bytes: number | null }> {
	if (!isUrl(source)) {
		const found = statSync(source, { throwIfNoEntry: false });
		if (!found?.isFile()) unreadable(source);
		return { stream: createReadStream(source), bytes: found?.size ?? null };
	}
	const answer = await request(source);
	if (!answer.body) throw new Problem(`${source} answered nothing`);
	return { stream: Readable.fromWeb(answer.body as never), bytes: null };
}

/** With the bearer token of EDGESIGN_TOKEN, which must not stand in a command line. */
async function request(url: string): Promise<Response> {
	const token = process.env.EDGESIGN_TOKEN;
	const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
	const answer = await fetch(url, { headers }).catch(() => unreadable(url));
	if (!answer.ok) throw new Problem(`${url} answered ${answer.status}; is EDGESIGN_TOKEN set?`);
	return answer;
}

function isUrl(place: string): boolean {
	return /^https?:\/\//.test(place);
}

function unreadable(place: string): never {
	throw new Problem(`${place} can not be read`);
}

async function* counting(stream: AsyncIterable<Uint8Array>, count: (length: number) => void) {
	for await (const chunk of stream) {
		count(chunk.length);
		yield chunk;
	}
}

/** A line that is rewritten, on a terminal alone. Of a stream nobody knows the length. */
function showProgress(done: number, total: number | null, lines: number): void {
	if (!process.stderr.isTTY) return;
	const filled = total === null ? 0 : Math.round((30 * done) / Math.max(1, total));
	const bar = "#".repeat(filled).padEnd(30, ".");
	process.stderr.write(`\r[${bar}] ${lines} lines${done === total ? "\n" : ""}`);
}

const usage = `npm run audit:verify -- FILE|URL --keys FILE|URL [--since CHECKPOINT]

Checks an export of the audit log offline: links, roots and signatures (docs/guides/audit.md).
The keys are those of /.well-known/audit-jwks.json. A URL is asked with the token in EDGESIGN_TOKEN.
With --since the export must go on from a checkpoint that was kept.`;

if (import.meta.main) await runCommand(main, usage);
