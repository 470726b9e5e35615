import { archivedDays } from "../db/audit-archives.ts";
import { fromHex, toHex } from "../lib/bytes.ts";
import { type ArchiveReader, daysOf, openArchived } from "./archive-source.ts";
import { leafOf } from "./chain.ts";
import { loadSigned } from "./manifest.ts";
import { pathTo, rootBy } from "./merkle.ts";
import { readRecords } from "./parquet.ts";
import { canonicalRecord, timeOf } from "./record.ts";
import { AuditUnreadable, type SourcedRecord } from "./source.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** What leads from a record to the manifest of its day, which was signed when the day was archived. */
export interface ArchiveProof {
	/** The JWS. */
	readonly manifest: string;
	/** Of the record among those of the day, from 0. */
	readonly index: number;
	/** How many those are. */
	readonly records: number;
	/** The path of RFC 6962 section 2.1.1. */
	readonly hashes: readonly Bytes[];
}

/**
 * The path of an archived record; null for one that is not archived. Files but the last have the same
 * power of two of records, so the path in a file and that over the files are one.
 */
export async function proveArchived(
	{ db, archive }: ArchiveReader,
	{ record }: SourcedRecord,
): Promise<ArchiveProof | null> {
	const { id, tenant } = record;
	const at = timeOf({ id });
	const range = daysOf({ from: at, to: at + 1, before: null });
	const [day] = range ? await archivedDays(db, tenant, range, 1) : [];
	if (!day) return null;
	const { jws, manifest } = await loadSigned(archive, tenant, day);
	const part = manifest.files.findIndex(({ first, last }) => first.id <= id && id <= last.id);
	const file = manifest.files[part];
	if (!file) return null;
	const records = await readRecords(await openArchived(archive, file));
	const place = records.findIndex((found) => found.record.id === id);
	const leaves = records.map((found) => leafOf(canonicalRecord(found.record)));
	const leaf = leaves[place];
	if (!leaf) return null; // it came when the day had been read, and waits in Postgres
	const inFile = pathTo(leaves, place);
	const root = rootBy(leaf, place, leaves.length, inFile);
	if (!root || toHex(root) !== file.root) {
		throw new AuditUnreadable(`${file.key} is not what its manifest says`);
	}
	const roots = manifest.files.map((known) => fromHex(known.root));
	const before = manifest.files.slice(0, part).reduce((sum, known) => sum + known.records, 0);
	const hashes = [...inFile, ...pathTo(roots, part)];
	return { manifest: jws, index: before + place, records: manifest.records, hashes };
}
