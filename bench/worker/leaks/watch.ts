import { type Kind, kinds, type Watched } from "./messages.ts";

interface Tally {
	made: number;
	told: number;
	readonly refs: Map<number, WeakRef<object>>;
}

const tallies = new Map<Kind, Tally>(
	kinds.map((kind) => [kind, { made: 0, told: 0, refs: new Map() }]),
);
const seen = new WeakSet<object>();
const registry = new FinalizationRegistry<{ readonly kind: Kind; readonly number: number }>(
	({ kind, number }) => {
		const tally = tallyOf(kind);
		tally.told++;
		tally.refs.delete(number);
	},
);
/** What a planted leak keeps. */
const kept: object[] = [];
let planted: Kind | null = null;

/** From now on objects of this kind are kept for ever. */
export function plant(kind: Kind | null): void {
	planted = kind;
}

/** An object that is to die, once however often it is met. */
export function watch<T>(kind: Kind, value: T): T {
	if (typeof value !== "object" || value === null || seen.has(value)) return value;
	seen.add(value);
	const tally = tallyOf(kind);
	const number = tally.made++;
	tally.refs.set(number, new WeakRef(value));
	registry.register(value, { kind, number });
	if (planted === kind) kept.push(value);
	return value;
}

export function watched(kind: Kind, most: number): Watched {
	const { made, told, refs } = tallyOf(kind);
	const alive = [...refs.values()].filter((ref) => ref.deref() !== undefined).length;
	return { made, alive, told, most };
}

function tallyOf(kind: Kind): Tally {
	const tally = tallies.get(kind);
	if (!tally) throw new Error(`nothing is known of the kind ${kind}`);
	return tally;
}
