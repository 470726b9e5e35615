/** An entry that isolates share, by a name that has its tenant and its epoch in it. */
export interface SharedEntry {
	readonly kind: string;
	readonly name: string;
}

/**
 * A place that isolates share. It may forget at any time, and whatever is wrong with it is the same as
 * having forgotten: it never throws, and never answers what was not put there under this very name.
 */
export interface SharedStore {
	/** In their order; null for what is not there. */
	read(tenant: string, epoch: number, entries: readonly SharedEntry[]): Promise<(string | null)[]>;
	/**
	 * What was written last, however long ago it was read (limits.cacheSharedKeptSeconds at the most): for where
	 * it can not be read anew. null also where that was under another epoch.
	 */
	kept(tenant: string, epoch: number, entries: readonly SharedEntry[]): Promise<(string | null)[]>;
	/** `epoch` is that of a lease which was held before the values were read. */
	write(
		tenant: string,
		epoch: number,
		values: readonly (SharedEntry & { readonly value: string })[],
	): Promise<void>;
	/** They are not there any more where they come from: nothing is kept of them. */
	drop(tenant: string, entries: readonly SharedEntry[]): Promise<void>;
}

/**
 * The whole name. After the epoch has moved nobody asks for an old one any more, so what is old need
 * not be found to be deleted.
 */
export function sharedName(tenant: string, epoch: number, { kind, name }: SharedEntry): string {
	return `es:${tenant}:${epoch}:${kind}:${name}`;
}

/** The name of what is kept for longer: one for all epochs, so that it takes no more room than what is read. */
export function keptName(tenant: string, { kind, name }: SharedEntry): string {
	return `es:${tenant}:kept:${kind}:${name}`;
}
