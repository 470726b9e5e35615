import { archivedDays } from "../db/audit-archives.ts";
import { fromHex, toHex } from "../lib/bytes.ts";
import { isKept } from "./archive-kept.ts";
import { type ArchiveReader, daysOf, openArchived } from "./archive-source.ts";
import { leafOf } from "./chain.ts";
import type { ArchiveProof } from "./cold.ts";
import { loadSigned } from "./manifest.ts";
import { pathTo, rootBy } from "./merkle.ts";
import { readRecords } from "./parquet.ts";
import { type AuditRecord, canonicalRecord, timeOf } from "./record.ts";
import { AuditUnreadable } from "./source.ts";

/**
 * The path of an archived record; null for one that is not archived. Files but the last have the same
 * power of two of records, so the path in a file and that over the files are one.
 */
export async function proveArchived(
	{ db, archive }: ArchiveReader,
	{ tenant, id }: Pick<AuditRecord, "tenant" | "id">,
): Promise<ArchiveProof | null> {
	const at = timeOf({ id });
	const range = daysOf({ from: at, to: at + 1, before: null });
	const [day] = range ? await archivedDays(db, tenant, range, 1) : [];
	if (!day || !(await isKept(archive, tenant, day))) return null;
	const { jws, manifest } = await loadSigned(archive, tenant, day);
	const part = manifest.files.findIndex(({ first, last }) => first.id <= id && id <= last.id);
	const file = manifest.files[part];
	if (!file) return null;
	const records = await readRecords(await openArchived(archive, file));
	const place = records.findIndex((found) => found.record.id === id);
	const leaves = records.map((found) => leafOf(canonicalRecord(found.record)));
	const [leaf, kept] = [leaves[place], records[place]];
	if (!leaf || !kept) return null; // it came when the day had been read, and waits in Postgres
	const inFile = pathTo(leaves, place);
	const root = rootBy(leaf, place, leaves.length, inFile);
	if (!root || toHex(root) !== file.root) {
		throw new AuditUnreadable(`${file.key} is not what its manifest says`);
	}
	const roots = manifest.files.map((known) => fromHex(known.root));
	const before = manifest.files.slice(0, part).reduce((sum, known) => sum + known.records, 0);
	const hashes = [...inFile, ...pathTo(roots, part)];
	const { link, chain, sequence } = kept;
	return {
		leaf,
		link,
		chain,
		sequence,
		manifest: jws,
		index: before + place,
		records: manifest.records,
		hashes,
	};
}
