import type { PoolEvent } from "../db/pool-figures.ts";
import type { QueryEvent } from "../db/statistics.ts";
import { type LogLevel, logLevels } from "../lib/log-levels.ts";

/** What the service tells its operator, as one typed event a line. No event has room for a secret. */
export type LogEvent =
	| {
			readonly event: "request_failed";
			readonly requestId: string;
			readonly route: string;
			readonly error: string;
	  }
	| {
			readonly event: "dependency_unavailable";
			readonly requestId: string;
			readonly route: string;
			readonly error: string;
	  }
	| {
			readonly event: "job_done";
			readonly job: string;
			readonly milliseconds: number;
			readonly count: number;
	  }
	/** It was cut off. The id is in the name of the file and in its first line. */
	| { readonly event: "export_failed"; readonly export: string; readonly error: string }
	/** Somebody changed a record behind the service's back. */
	| { readonly event: "audit_chain_broken"; readonly requestId: string; readonly error: string }
	| { readonly event: "job_failed"; readonly job: string; readonly error: string }
	| PoolEvent
	| QueryEvent
	| { readonly event: "replica_failed"; readonly statement: string; readonly error: string }
	| ({ readonly event: "audit_moved" } & MoveFigures)
	/** The same where what still waits has waited for long: it comes faster than it goes. */
	| ({ readonly event: "audit_backlog" } & MoveFigures)
	| ({ readonly event: "audit_move_failed"; readonly error: string } & MoveFigures);

/** Of an object of the audit log: what it moved to Postgres, and what waits there. */
interface MoveFigures {
	readonly place: string;
	readonly records: number;
	readonly milliseconds: number;
	readonly backlogRecords: number;
	readonly backlogBytes: number;
	/** The age of the oldest record that waits. */
	readonly oldestMs: number;
	/** Writes to storage since the last report, and how long the slowest of them took. */
	readonly writes: number;
	readonly slowestWriteMs: number;
}

const levelOf: Record<LogEvent["event"], LogLevel> = {
	request_failed: "error",
	dependency_unavailable: "warn",
	job_done: "debug",
	job_failed: "error",
	export_failed: "error",
	audit_chain_broken: "error",
	pool_leak: "warn",
	pool_rested: "debug",
	slow_query: "info",
	query_statistics: "debug",
	repeated_query: "warn",
	replica_failed: "warn",
	audit_moved: "debug",
	audit_backlog: "warn",
	audit_move_failed: "warn",
};

export type Log = (event: LogEvent) => void;

/** Writes a JSON line to the console, which the platform collects. */
export function createLog(least: LogLevel): Log {
	const from = logLevels.indexOf(least);
	return (event) => {
		const level = levelOf[event.event];
		if (logLevels.indexOf(level) < from) return;
		const line = JSON.stringify({ level, ...event });
		if (level === "error") console.error(line);
		else console.log(line);
	};
}

/** An error for the log: its kind and where it was thrown. Messages of our own errors hold no values. */
export function describeError(error: unknown): string {
	if (!(error instanceof Error)) return typeof error;
	return error.stack ?? `${error.name}: ${error.message}`;
}
