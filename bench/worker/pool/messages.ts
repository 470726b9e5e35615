/** One way to Postgres, with so many who ask at once, for so long. */
export interface PoolRequest {
	readonly form: PoolForm;
	readonly borrowers: number;
	readonly milliseconds: number;
}

export type PoolForm = "pool" | "http";

/** Transactions that all keep their connections for so long. */
export interface HoldRequest {
	readonly form: "held";
	readonly borrowers: number;
	readonly milliseconds: number;
}

export interface PoolMeasured {
	readonly perSecond: number;
	/** Until a statement was answered, the wait for a connection with it. */
	readonly p50Ms: number;
	readonly p95Ms: number;
	/** The most connections that were open at once; 0 over HTTP. */
	readonly connections: number;
}
