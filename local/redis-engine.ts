/** A command's name in capitals, and its arguments. */
export type Command = readonly [name: string, ...args: (string | Buffer)[]];

/** RESP2 replies: strings and statuses are bytes. A refusal may stand inside an array. */
export type Reply = null | number | Buffer | CommandError | readonly Reply[];

/** What Redis says no with: "ERR ...", "WRONGTYPE ...", "NOSCRIPT ...". */
export class CommandError extends Error {
	override readonly name = "CommandError";
}

/** The engine does not answer now; it may have run what it was sent. */
export class EngineUnavailable extends Error {
	override readonly name = "EngineUnavailable";
}

/** Where the commands are run. Both methods reject with EngineUnavailable, and with nothing else. */
export interface RedisEngine {
	/** In this order; others' commands may come between. A refused one does not stop the rest. */
	run(commands: readonly Command[]): Promise<Reply[]>;
	/** MULTI and EXEC: nothing comes between. CommandError when it was discarded as a whole. */
	transaction(commands: readonly Command[]): Promise<Reply[] | CommandError>;
	close(): Promise<void>;
}

export function isBytes(value: unknown): value is Buffer {
	return Buffer.isBuffer(value);
}
