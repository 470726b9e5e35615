type Exec = DurableObjectState["storage"]["sql"]["exec"];

/**
 * The `exec` of an object's storage. Where a statement fails the object ends: what it remembers may be ahead of what
 * is stored, and a file that could not be written once (a disk that was read-only for a moment) can not be for as long
 * as it is open. The next question is answered by a new life of it.
 */
export function statementsOf(ctx: DurableObjectState): Exec {
	return (query, ...bindings) => {
		try {
			return ctx.storage.sql.exec(query, ...bindings);
		} catch (error) {
			ctx.abort(`its storage fails: ${error instanceof Error ? error.message : "unknown"}`);
			throw error;
		}
	};
}
