import type { ArchivedDay } from "../db/audit-archives.ts";
import * as limits from "../limits.ts";
import type { Archive } from "./archive-bucket.ts";
import { deletionKey } from "./manifest.ts";
import { AuditUnreadable } from "./source.ts";

/** Whether a day's files are there to be read: until the archive has been given its word of their deletion. */
export async function isKept(
	archive: Archive,
	tenant: string,
	{ day, state }: Pick<ArchivedDay, "day" | "state">,
): Promise<boolean> {
	if (state === "archived") return true;
	return (
		state === "expiring" && !(await someUnder(archive, deletionKey({ tenant, day }), () => true))
	);
}

/** Whether a key is there, among the first of a prefix: files of a round stand before its manifest. */
export async function someUnder(
	archive: Archive,
	prefix: string,
	isChosen: (key: string) => boolean,
): Promise<boolean> {
	return (await firstUnder(archive, prefix, isChosen)) !== undefined;
}

/** The same, and what is there. */
export async function firstUnder(
	archive: Archive,
	prefix: string,
	isChosen: (key: string) => boolean,
): Promise<R2Object | undefined> {
	const limit = limits.auditArchiveKeysPerCall;
	const page = await archive.list({ prefix, limit }).catch((error: unknown) => {
		throw new AuditUnreadable(`${prefix}: ${error instanceof Error ? error.message : "unknown"}`);
	});
	return page.objects.find(({ key }) => isChosen(key));
}
