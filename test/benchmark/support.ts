import { type Figures, figures as schema } from "../../src/benchmark/figures.ts";

/** What a service that is well measures. */
export const usual: Figures = schema.parse({
	responseMs: { sign: 6, verify: 1, getKey: 3, getJwks: 0.5 },
	partsMs: { postgres: 2, redis: 1, durableObject: 4 },
	throughputRps: 4000,
	memoryMb: 2,
});

interface Changed {
	readonly responseMs?: Partial<Figures["responseMs"]>;
	readonly partsMs?: Partial<Figures["partsMs"]>;
	readonly throughputRps?: number | null;
	readonly memoryMb?: number | null;
}

/** The same, but for these. */
export function usualBut(changed: Changed): Figures {
	return {
		...usual,
		...changed,
		responseMs: { ...usual.responseMs, ...changed.responseMs },
		partsMs: { ...usual.partsMs, ...changed.partsMs },
	};
}
