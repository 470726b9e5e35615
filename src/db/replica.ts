import {
	type Database,
	DatabaseError,
	DatabaseUnavailable,
	type Param,
	type Statement,
} from "./client.ts";

/** Keeps from asking what does not answer (cache/breaker.ts). */
export interface ReplicaGate {
	allows(): boolean;
	succeeded(): void;
	failed(): void;
}

export interface ReplicaOptions {
	readonly primary: Database;
	/** With a time-out that leaves time for the primary. */
	readonly replica: Pick<Database, "query">;
	readonly gate: ReplicaGate;
	readonly onFailure: (statement: string, error: unknown) => void;
}

/**
 * Statements that say that they may lag are read from the replica, and from the primary when that does
 * not answer: they change nothing, so they may be asked twice. All others never see the replica.
 */
export function withReplica({ primary, replica, gate, onFailure }: ReplicaOptions): Database {
	return {
		async query<Row>(statement: Statement, params: readonly Param[]) {
			if (!statement.mayLag || !gate.allows()) return primary.query<Row>(statement, params);
			try {
				const rows = await replica.query<Row>(statement, params);
				gate.succeeded();
				return rows;
			} catch (error) {
				if (!couldNot(error)) throw error;
				gate.failed();
				onFailure(statement.name, error);
				return primary.query<Row>(statement, params);
			}
		},
		transaction: (calls) => primary.transaction(calls),
	};
}

/** 40001: what it read was taken away by what came from the primary meanwhile. */
function couldNot(error: unknown): boolean {
	if (error instanceof DatabaseError) return error.sqlState === "40001";
	return error instanceof DatabaseUnavailable;
}
