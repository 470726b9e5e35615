/** What is watched: of one request, held by the caches, held by the leases, or lent by an object's pool. */
export const kinds = [
	"request",
	"context",
	"admitted",
	"body",
	"response",
	"cached",
	"lane",
	"loan",
] as const;
export type Kind = (typeof kinds)[number];

/** `GET /watched`, by kind. */
export interface Watched {
	/** Objects that were made. */
	readonly made: number;
	/** Those that a WeakRef still leads to. */
	readonly alive: number;
	/** Those that the engine told to be gone (FinalizationRegistry); it may tell late. */
	readonly told: number;
	/** How many may be alive while nothing is under way. */
	readonly most: number;
}

export type WatchedKinds = Readonly<Record<Kind, Watched>>;
