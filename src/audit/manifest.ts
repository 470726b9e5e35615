import type { ArchivedDay, TenantDay } from "../db/audit-archives.ts";
import { type Bytes, fromBase64Url, fromHex, toHex } from "../lib/bytes.ts";
import type { Pace } from "../lib/pace.ts";
import * as limits from "../limits.ts";
import { type Archive, bytesIn } from "./archive-bucket.ts";
import { checkLink, leafOf } from "./chain.ts";
import { MerkleRoot } from "./merkle.ts";
import { recordColumns } from "./parquet.ts";
import { canonicalRecord, timeOf } from "./record.ts";
import { AuditUnreadable, type SourcedRecord } from "./source.ts";
import { type ChainSpan, joined } from "./span.ts";

/** A record at one end of something, and its time (ISO 8601). */
interface End {
	readonly id: string;
	readonly at: string;
}

/** What a manifest says of one file. Hashes are SHA-256 in hexadecimal. */
export interface ArchiveFile {
	readonly key: string;
	readonly bytes: number;
	readonly records: number;
	/** Of the file. */
	readonly sha256: string;
	/** Of the Merkle tree over the leaves of its records. */
	readonly root: string;
	readonly first: End;
	readonly last: End;
	/** Ids of all that its records are about; null where they are many. */
	readonly targets: readonly string[] | null;
}

/** What is signed of a tenant's day (docs/storage.md). */
export interface Manifest extends TenantDay {
	readonly format: 1;
	readonly round: number;
	readonly records: number;
	readonly first: End;
	readonly last: End;
	/** Of the Merkle tree over the leaves of all records, in the order of the files. */
	readonly root: string;
	readonly chains: readonly ChainSpan[];
	readonly files: readonly ArchiveFile[];
}

/** Where everything of a tenant's day is. The tenant comes first, as everywhere. */
export function dayPrefix({ tenant, day }: TenantDay): string {
	return `audit/${tenant}/${day}/`;
}

/**
 * Its SHA-256 is in its name: a run that was overtaken, and has other records, writes another object and
 * not over the one that the manifest names.
 */
export function fileKey(of: TenantDay, round: number, part: number, sha256: Bytes): string {
	const content = toHex(sha256).slice(0, 16);
	return `${roundPrefix(of, round)}${String(part).padStart(6, "0")}-${content}.parquet`;
}

export function manifestKey(of: TenantDay, round: number): string {
	return `${roundPrefix(of, round)}manifest.jws`;
}

/** Where it is kept that the day's records were to be deleted. */
export function deletionKey(of: TenantDay): string {
	return `${dayPrefix(of)}deletion.jws`;
}

function roundPrefix(of: TenantDay, round: number): string {
	return `${dayPrefix(of)}${round}/`;
}

/** The round that an object of the day was written in. */
export function roundOf(of: TenantDay, key: string): number {
	return Number(key.slice(dayPrefix(of).length).split("/")[0]);
}

/**
 * What there is to say of a file with these records, of which there is one at least.
 * @throws ChainBroken where one of them was changed since it was written
 */
export async function describeFile(
	key: string,
	bytes: Bytes,
	sha256: Bytes,
	records: readonly SourcedRecord[],
	pace: Pace,
): Promise<ArchiveFile> {
	const tree = new MerkleRoot();
	const links = linksOf(records);
	for (const found of records) {
		const leaf = leafOf(canonicalRecord(found.record));
		const previous = links.get(found.chain)?.get(found.sequence - 1);
		if (previous) checkLink(found, leaf, previous);
		tree.add(leaf);
		await pace(recordColumns.length);
	}
	return {
		key,
		bytes: bytes.length,
		records: records.length,
		sha256: toHex(sha256),
		root: toHex(tree.root()),
		first: endOf(records.at(0)),
		last: endOf(records.at(-1)),
		targets: targetsOf(records),
	};
}

/** By chain and place in it: which records stand beside each other there, whatever their ids say. */
function linksOf(records: readonly SourcedRecord[]): Map<string, Map<number, Bytes>> {
	const links = new Map<string, Map<number, Bytes>>();
	for (const { chain, sequence, link } of records) {
		const known = links.get(chain) ?? new Map<number, Bytes>();
		links.set(chain, known.set(sequence, link));
	}
	return links;
}

/** The chains with these records behind what they have. A record may come before its older ones. */
export function extendChains(
	spans: readonly ChainSpan[],
	records: readonly SourcedRecord[],
): ChainSpan[] {
	const chains = new Map(spans.map((span) => [span.chain, span]));
	for (const [chain, { count, first, last, numbers }] of endsByChain(records)) {
		const [low, high] = [endOfChain(first), endOfChain(last)];
		const none = { chain, records: 0, first: low, last: high, numbers: [] };
		const span: ChainSpan = chains.get(chain) ?? none;
		chains.set(chain, {
			chain,
			records: span.records + count,
			first: low.sequence < span.first.sequence ? low : span.first,
			last: high.sequence > span.last.sequence ? high : span.last,
			// Of what is there nobody may have noted them: numbers that are not all are worth nothing.
			numbers: span.numbers ? joined([...span.numbers, ...numbers]) : null,
		});
	}
	const most = stretchesMost(chains.size);
	return [...chains.values()]
		.map((span) => ((span.numbers?.length ?? 0) > most ? { ...span, numbers: null } : span))
		.sort((a, b) => (a.chain < b.chain ? -1 : 1));
}

/** Of numbers of one chain: a line of an export has what the day has of all of them. */
function stretchesMost(chains: number): number {
	const part = Math.floor(limits.auditStretchesOfDay / chains);
	return Math.max(1, Math.min(limits.auditStretchesOfChain, part));
}

interface ChainEnds {
	count: number;
	first: SourcedRecord;
	last: SourcedRecord;
	/** As they come, which is nearly in the order of the chain. */
	readonly numbers: [from: number, to: number][];
}

function endsByChain(records: readonly SourcedRecord[]) {
	const ends = new Map<string, ChainEnds>();
	for (const record of records) {
		const { chain, sequence } = record;
		const end = ends.get(chain) ?? { count: 0, first: record, last: record, numbers: [] };
		ends.set(chain, end);
		end.count++;
		if (sequence < end.first.sequence) end.first = record;
		if (sequence > end.last.sequence) end.last = record;
		const stretch = end.numbers.at(-1);
		if (stretch?.[1] === sequence - 1) stretch[1] = sequence;
		else end.numbers.push([sequence, sequence]);
	}
	return ends;
}

function endOfChain({ sequence, link }: SourcedRecord) {
	return { sequence, link: toHex(link) };
}

/** The manifest of a day; null for one without files. */
export function makeManifest(
	{ tenant, day }: TenantDay,
	round: number,
	files: readonly ArchiveFile[],
	chains: readonly ChainSpan[],
): Manifest | null {
	const [first, last] = [files.at(0), files.at(-1)];
	if (!first || !last) return null;
	const tree = new MerkleRoot();
	for (const { root } of files) tree.add(fromHex(root));
	return {
		format: 1,
		tenant,
		day,
		round,
		records: files.reduce((sum, file) => sum + file.records, 0),
		first: first.first,
		last: last.last,
		root: toHex(tree.root()),
		chains,
		files,
	};
}

/** The bytes that a manifest's JWS carries. */
export function payloadOf(jws: string): Bytes | null {
	return fromBase64Url(jws.split(".")[1] ?? "");
}

/** The manifest of an archived day, which must be the one that Postgres was told of. */
export async function loadManifest(
	bucket: Archive,
	tenant: string,
	day: ArchivedDay,
): Promise<Manifest> {
	return (await loadSigned(bucket, tenant, day)).manifest;
}

/** The same with its signature. */
export async function loadSigned(
	bucket: Archive,
	tenant: string,
	{ day, round, manifest }: ArchivedDay,
): Promise<{ readonly jws: string; readonly manifest: Manifest }> {
	const key = manifestKey({ tenant, day }, round);
	const jws = new TextDecoder().decode(await bytesIn(bucket, key));
	const payload = payloadOf(jws);
	const sha256 = payload && (await crypto.subtle.digest("SHA-256", payload));
	if (!payload || !sha256 || toHex(new Uint8Array(sha256)) !== manifest) {
		throw new AuditUnreadable(`${key} is not the manifest that was written`);
	}
	return { jws, manifest: JSON.parse(new TextDecoder().decode(payload)) as Manifest };
}

function endOf(sourced: SourcedRecord | undefined): End {
	if (!sourced) throw new Error("a file without records");
	const { id } = sourced.record;
	return { id, at: new Date(timeOf({ id })).toISOString() };
}

function targetsOf(records: readonly SourcedRecord[]): string[] | null {
	const targets = new Set<string>();
	for (const { record } of records) {
		if (record.target.id !== null) targets.add(record.target.id);
		if (targets.size > limits.auditArchiveFileKeys) return null;
	}
	return [...targets].sort();
}
