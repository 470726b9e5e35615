import type { AlgorithmName } from "../../../src/model.ts";
import type { InputKind } from "../../../src/signing/types.ts";

/** One thing that is measured: an algorithm doing one job with one kind of input. */
export interface Subject {
	readonly algorithm: AlgorithmName;
	/** Bits of an RSA modulus; left out where the algorithm has one size. */
	readonly modulusLength?: number;
	readonly kind: InputKind;
	readonly job: "sign" | "verify";
	/** The key in PEM; a new one where it is left out. */
	readonly key?: string;
}

/** What is done for every request, and could be done with less (habits.ts). */
export const habitNames = [
	"one-encoder",
	"token-hash",
	"message-bytes",
	"row-strings",
	"mac-text",
] as const;
export type HabitName = (typeof habitNames)[number];

/** `POST /hold`: so many rows of Postgres, kept in memory in place of those before. */
export interface HoldRequest {
	readonly rows: number;
	readonly isInterned: boolean;
}

/** `POST /measure`: one group of blocks. */
export interface MeasureRequest {
	readonly subject: Subject | "limiter" | HabitName;
	/** Milliseconds of each block, at least. */
	readonly blockMs: number;
	/** Whose turn it is, block by block: A B B A or B A A B where both are compared. */
	readonly turns: readonly Side[];
}

/** The way through src/signing, and the bare call of the same library; of the limiter, with it and without; of a habit, as it is and otherwise. */
export type Side = "service" | "bare";

/** Operations per second over the blocks of each side that had a turn. */
export type MeasureAnswer = Readonly<Partial<Record<Side, number>>>;

/** `POST /generate`: makes one key. */
export interface GenerateRequest {
	readonly algorithm: AlgorithmName;
	readonly modulusLength?: number;
}

export interface GenerateAnswer {
	/** That it took, in parts of a millisecond too. */
	readonly milliseconds: number;
}
