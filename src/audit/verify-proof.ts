import { type Bytes, equalConstantTime, fromBase64, fromHex, toBase64 } from "../lib/bytes.ts";
import { isUuid } from "../lib/uuid.ts";
import { type ChainHead, leafOf, linked } from "./chain.ts";
import { type Checkpoint, isSound } from "./checkpoint.ts";
import { rootBy } from "./merkle.ts";
import { decodeRecord, timeOf } from "./record.ts";
import { showRecord } from "./shown.ts";
import type { StatementReader } from "./signer.ts";
import type { SourcedRecord } from "./source.ts";
import type { Finding } from "./walk.ts";

/** What `GET /v1/audit/records/{id}/proof` answers (`AuditProof` in the OpenAPI document). */
interface Proof {
	readonly record: { readonly chain: string; readonly sequence: number; readonly link: string };
	readonly canonical: readonly [string, string];
	readonly leaf: string;
	readonly signed: string | null;
	readonly path: {
		readonly previous: string;
		readonly leaves: readonly string[];
		readonly checkpoint: string;
	} | null;
	readonly archived: {
		readonly manifest: string;
		readonly index: number;
		readonly records: number;
		readonly hashes: readonly string[];
	} | null;
}

/** What a manifest says of its day as a whole (docs/storage.md). */
interface ManifestedDay {
	readonly tenant: string;
	readonly day: string;
	readonly records: number;
	readonly root: string;
}

export interface ProofVerdict {
	/** Empty where the record is what the service signed. */
	readonly findings: readonly Finding[];
	readonly record: ReturnType<typeof showRecord> | null;
	/** Whether its number in its chain is proved, and not its content alone. */
	readonly isPlaced: boolean;
	/** What its links lead to, and how many they are; null without a path. */
	readonly checkpoint: { readonly at: string; readonly links: number } | null;
	/** Whether they lead through the checkpoint that was kept; null where they are not of its place. */
	readonly passesKept: boolean | null;
	/** The day whose manifest it is proved by; null for one that is not archived. */
	readonly day: string | null;
}

/**
 * Checks the proof of one record with nothing but the public key: its bytes, what is signed of their place,
 * the links to the checkpoint, and the audit path to the manifest of its day.
 * @param kept a checkpoint of before; the links must lead through what it says of the record's chain
 */
export async function verifyProof(
	text: string,
	read: StatementReader,
	kept: Checkpoint | null = null,
): Promise<ProofVerdict> {
	const findings: Finding[] = [];
	const find: Find = (kind, message) => findings.push({ kind, line: null, message });
	const proof = proofIn(text);
	const found = proof && recordOf(proof);
	if (!proof || !found) {
		find("unreadable", "this is no proof of a record");
		const none = { isPlaced: false, checkpoint: null, passesKept: null, day: null };
		return { findings, record: null, ...none };
	}
	const leaf = leafOf(partsOf(proof));
	const record = showRecord(found);
	if (inOrder(proof.record) !== inOrder(record) || proof.leaf !== toBase64(leaf)) {
		find("changed", "what is told of the record is not what its bytes say");
	}
	await checkPlace(proof, found, leaf, read, find);
	const links = proof.path && linksFrom(found, leaf, proof.path);
	const checkpoint = await checkPath(proof.path, links, found, read, find);
	const isOfKept = links !== null && kept?.tenant === found.record.tenant;
	const passesKept = isOfKept ? passes(links, found.chain, kept) : null;
	if (passesKept === false) find("changed", "its links do not lead through the kept checkpoint");
	const day = await checkDay(proof.archived, found, leaf, read, find);
	const isPlaced = proof.signed !== null || links !== null;
	return { findings, record, isPlaced, checkpoint, passesKept, day };
}

type Find = (kind: Finding["kind"], message: string) => void;

/** What is signed of the record's place; where nothing is, something else must be. */
async function checkPlace(
	{ signed, path, archived }: Proof,
	{ record: { tenant, id }, chain, sequence, link }: SourcedRecord,
	leaf: Bytes,
	read: StatementReader,
	find: Find,
): Promise<void> {
	if (signed === null) {
		if (path || archived) return;
		find("forged", "nothing of it is signed: the record before it was not found to check it");
		return;
	}
	const place = { tenant, id, chain, sequence, link: toBase64(link), leaf: toBase64(leaf) };
	if (!isOf(await read("edgesign-audit-record+jwt", signed), place)) {
		find("forged", "its place is not signed by one of these keys");
	}
}

/** The checkpoint that the links lead to; null without any. */
async function checkPath(
	path: Proof["path"],
	links: readonly ChainHead[] | null,
	{ record: { tenant }, chain }: SourcedRecord,
	read: StatementReader,
	find: Find,
): Promise<ProofVerdict["checkpoint"]> {
	if (!path) return null;
	const signed = await read("edgesign-audit-checkpoint+jwt", path.checkpoint);
	const checkpoint = signed as Checkpoint | null;
	if (!checkpoint || !isSound(checkpoint) || checkpoint.tenant !== tenant) {
		find("forged", "the checkpoint is not signed for this tenant by one of these keys");
	} else if (!links || !endsAt(links, chain, checkpoint)) {
		find("changed", "its links do not lead to the checkpoint");
	}
	return checkpoint && links && { at: checkpoint.at, links: links.length };
}

/** The day whose manifest the record is a leaf of; null without one. */
async function checkDay(
	archived: Proof["archived"],
	{ record }: SourcedRecord,
	leaf: Bytes,
	read: StatementReader,
	find: Find,
): Promise<string | null> {
	if (!archived) return null;
	const signed = await read("edgesign-audit-manifest+jwt", archived.manifest);
	const manifest = signed as ManifestedDay | null;
	const day = new Date(timeOf(record)).toISOString().slice(0, 10);
	if (!manifest || manifest.tenant !== record.tenant || manifest.day !== day) {
		find("forged", "the manifest is not signed for this tenant and day by one of these keys");
	} else if (!leadsTo(manifest, archived, leaf)) {
		find("changed", "its audit path does not lead to the manifest of its day");
	}
	return manifest?.day ?? null;
}

/** Of the record and of what follows it. null where the first is not the record's own, or one is no hash. */
function linksFrom(
	found: SourcedRecord,
	leaf: Bytes,
	{ previous, leaves }: NonNullable<Proof["path"]>,
): ChainHead[] | null {
	let head: ChainHead = { sequence: found.sequence - 1, link: hashIn(previous) };
	const links: ChainHead[] = [];
	for (const next of [leaf, ...leaves.map(hashIn)]) {
		head = linked(head, next);
		links.push(head);
	}
	return links[0] && equalConstantTime(links[0].link, found.link) ? links : null;
}

/** Where the chain is in a checkpoint. */
function headIn({ chains }: Checkpoint, chain: string): ChainHead | null {
	const head = chains.find(({ id }) => id === chain);
	return head ? { sequence: head.sequence, link: hashIn(head.link) } : null;
}

function endsAt(links: readonly ChainHead[], chain: string, checkpoint: Checkpoint): boolean {
	const head = headIn(checkpoint, chain);
	return head?.sequence === links.at(-1)?.sequence && passes(links, chain, checkpoint) === true;
}

/** null where the checkpoint is of a place that is not among the links. */
function passes(links: readonly ChainHead[], chain: string, checkpoint: Checkpoint) {
	const head = headIn(checkpoint, chain);
	const own = links.find(({ sequence }) => sequence === head?.sequence);
	return head && own ? equalConstantTime(own.link, head.link) : null;
}

function leadsTo(
	{ records, root }: ManifestedDay,
	archived: NonNullable<Proof["archived"]>,
	leaf: Bytes,
): boolean {
	const by = rootBy(leaf, archived.index, archived.records, archived.hashes.map(hashIn));
	return by !== null && archived.records === records && equalConstantTime(by, fromHex(root));
}

/** Whether a statement says this, beside when it was signed. */
function isOf(statement: unknown, place: Readonly<Record<string, unknown>>): boolean {
	const said = statement as Readonly<Record<string, unknown>> | null;
	return said !== null && Object.entries(place).every(([name, value]) => said[name] === value);
}

/** Whoever kept it may have written it anew, with its members in another order. */
function inOrder(value: object): string {
	return JSON.stringify(value, (_, one: unknown) => {
		const isMembers = typeof one === "object" && one !== null && !Array.isArray(one);
		return isMembers ? Object.fromEntries(Object.entries(one).sort()) : one;
	});
}

function partsOf({ canonical: [head, item] }: Proof) {
	return { head: fromBase64(head) ?? new Uint8Array(), item: fromBase64(item) ?? new Uint8Array() };
}

/** What is none is one that fits nowhere. */
function hashIn(text: string): Bytes {
	return fromBase64(text) ?? new Uint8Array();
}

function recordOf(proof: Proof): SourcedRecord | null {
	const { chain, sequence, link } = proof.record;
	try {
		return { record: decodeRecord(partsOf(proof)), chain, sequence, link: hashIn(link) };
	} catch {
		return null;
	}
}

function proofIn(text: string): Proof | null {
	try {
		const value = JSON.parse(text) as Partial<Proof> | null;
		return value && isProof(value) ? value : null;
	} catch {
		return null;
	}
}

function isProof(value: Partial<Proof>): value is Proof {
	const { record, canonical, leaf, signed, path, archived } = value;
	return (
		isText(record?.chain, record?.link, leaf, ...(canonical ?? [])) &&
		(signed === null || isText(signed)) &&
		isUuid(record?.chain ?? "") &&
		isPlace(record?.sequence, 1) &&
		canonical?.length === 2 &&
		(path === null || (isText(path?.previous, path?.checkpoint) && isList(path?.leaves))) &&
		(archived === null ||
			(isText(archived?.manifest) &&
				isPlace(archived?.index, 0) &&
				isPlace(archived?.records, 1) &&
				isList(archived?.hashes)))
	);
}

function isText(...values: readonly unknown[]): boolean {
	return values.every((value) => typeof value === "string");
}

function isList(values: unknown): boolean {
	return Array.isArray(values) && isText(...values);
}

function isPlace(value: unknown, least: number): boolean {
	return Number.isSafeInteger(value) && (value as number) >= least;
}
