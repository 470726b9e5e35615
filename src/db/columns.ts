/** A timestamptz column as ISO 8601 in UTC with milliseconds, the one form of time in the API. */
export function iso(column: string, alias: string): string {
	return `to_char(${column} at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as ${alias}`;
}

/** A page of a list in the order of ids: what comes after the id `after`, `size` rows at most. */
export interface Page {
	readonly after: string;
	readonly size: number;
}

/** Comes before every id: where a list begins. */
export const firstId = "00000000-0000-0000-0000-000000000000";

/** Comes after every id: where a list of the newest first begins. */
export const lastId = "ffffffff-ffff-ffff-ffff-ffffffffffff";

/** A page of versions, newest first: those below `before`, or from the newest on. */
export interface VersionPage {
	readonly before: number | null;
	readonly size: number;
}
