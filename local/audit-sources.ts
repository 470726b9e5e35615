import { createReadStream, type Stats, statSync } from "node:fs";
import { type FileHandle, mkdtemp, open as openFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import * as limits from "../src/limits.ts";
import { inOneLine, Problem } from "./problem.ts";

/** Until an answer begins or goes on: the archive may take as long for a part of an export. */
const silentMs = limits.auditExportSilentMs;

/** A file without a name: nothing of it is left over, whatever ends this. */
export async function kept(stream: AsyncIterable<Uint8Array>): Promise<FileHandle> {
	const folder = await mkdtemp(join(tmpdir(), "edgesign-verify-"));
	const handle = await openFile(join(folder, "export.parquet"), "wx+");
	await rm(folder, { recursive: true });
	for await (const chunk of stream) await handle.writeFile(chunk);
	return handle;
}

/** A file of which parts are read as they are asked for. */
export function bufferOf(handle: FileHandle, byteLength: number) {
	return {
		byteLength,
		async slice(from: number, to = byteLength) {
			const offset = from < 0 ? byteLength + from : from;
			const bytes = new Uint8Array(Math.max(0, Math.min(to, byteLength) - offset));
			await handle.read(bytes, 0, bytes.length, offset);
			return bytes.buffer;
		},
	};
}

/** The first bytes of a stream, and all of it. */
export async function peek(stream: AsyncIterable<Uint8Array>) {
	const chunks = stream[Symbol.asyncIterator]();
	const { value: first = new Uint8Array() } = await chunks.next();
	async function* rest() {
		yield first;
		yield* { [Symbol.asyncIterator]: () => chunks };
	}
	return { first, rest: rest() };
}

/** All of a document; nothing of one that is longer than a line of an export may be. */
export async function whole(stream: AsyncIterable<Uint8Array>): Promise<string> {
	const chunks: Uint8Array[] = [];
	let length = 0;
	for await (const chunk of stream) {
		length += chunk.length;
		if (length > limits.auditExportLineBytes) return "";
		chunks.push(chunk);
	}
	return Buffer.concat(chunks).toString("utf8");
}

export async function textOf(place: string, token: string | null): Promise<string> {
	return isUrl(place)
		? whole(counting(place, (await open(place, token)).stream, () => {}))
		: whole(createReadStream(place)).catch(() => unreadable(place));
}

export async function open(
	source: string,
	token: string | null,
): Promise<{ stream: AsyncIterable<Uint8Array>; bytes: number | null }> {
	if (source === "-") return { stream: process.stdin, bytes: null };
	if (!isUrl(source)) {
		const found = entryAt(source);
		if (!found || found.isDirectory()) unreadable(source);
		return { stream: createReadStream(source), bytes: found.isFile() ? found.size : null };
	}
	return { stream: await bodyOf(source, token), bytes: null };
}

function entryAt(path: string): Stats | null {
	try {
		return statSync(path);
	} catch {
		return null; // there is none, or the name leads nowhere
	}
}

/** The bearer token comes by EDGESIGN_TOKEN, for it must not stand in a command line; the keys are anybody's. */
async function bodyOf(url: string, token: string | null): Promise<AsyncIterable<Uint8Array>> {
	const headers: Record<string, string> = token ? { Authorization: `Bearer ${token}` } : {};
	const silent = new AbortController();
	const timer = setTimeout(
		() => silent.abort(new Error(`nothing came for ${silentMs / 1000} s`)),
		silentMs,
	);
	const answer = await fetch(url, { headers, signal: silent.signal }).catch(() => unreadable(url));
	const { ok, status, body } = answer;
	if (ok && body) return lively(Readable.fromWeb(body as never), timer);
	clearTimeout(timer);
	throw new Problem(
		ok ? `${url} answered nothing` : `${url} answered ${status}; is EDGESIGN_TOKEN set?`,
	);
}

/** All of it may take as long as it is, and each part no longer than the timer. */
async function* lively(
	stream: AsyncIterable<Uint8Array>,
	timer: NodeJS.Timeout,
): AsyncGenerator<Uint8Array> {
	try {
		for await (const chunk of stream) {
			timer.refresh();
			yield chunk;
		}
	} finally {
		clearTimeout(timer);
	}
}

export function tokenGiven(): string | null {
	return process.env.EDGESIGN_TOKEN ?? null;
}

function isUrl(place: string): boolean {
	return /^https?:\/\//.test(place);
}

function unreadable(place: string): never {
	throw new Problem(`${place} can not be read`);
}

export async function* counting(
	source: string,
	stream: AsyncIterable<Uint8Array>,
	count: (length: number) => void,
): AsyncGenerator<Uint8Array> {
	try {
		for await (const chunk of stream) {
			count(chunk.length);
			yield chunk;
		}
	} catch (error) {
		throw new Problem(`${source} broke off: ${inOneLine(error)}`);
	}
}
