/** To the client: one run of one request against one server on 127.0.0.1. */
export interface Job {
	readonly port: number;
	/** The whole request, head and body, as Latin-1. */
	readonly request: string;
	readonly connections: number;
	readonly warmUpMs: number;
	readonly measureMs: number;
	/** Requests per second on a schedule; null for as many as there are answers. */
	readonly rate: number | null;
}

/** From the client: what came of it between the warm-up and the end. */
export interface Outcome {
	/** Answers with a status of 200 to 299 within the measured time. */
	readonly answered: number;
	/** The same from the first request to the last, warm-up included. */
	readonly answeredInAll: number;
	/** Other statuses, and connections that failed, by kind. */
	readonly failures: Readonly<Record<string, number>>;
	readonly perSecond: number;
	/** From the sending, or from the scheduled time where there is a schedule. Empty without answers. */
	readonly latencyMs: Readonly<Record<"p50" | "p95" | "p99" | "max", number>> | null;
	/** Of one core: what the system says that this process used. */
	readonly cpu: number;
	/** Share of the time in which there was work to do; 1 is the generator's limit. */
	readonly busy: number;
	/** Scheduled requests that were never sent: the server was too far behind. */
	readonly dropped: number;
	/** How late requests went out though a connection was free, 99th percentile; null without a schedule. */
	readonly lateMs: number | null;
}

export type FromClient =
	| { readonly type: "outcome"; readonly outcome: Outcome }
	| { readonly type: "failed"; readonly reason: string };
