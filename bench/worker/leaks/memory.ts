/** Watches what caches keep: stands for src/cache/memory.ts in the bundle (leaks.ts). */
import * as memory from "../../../src/cache/memory.ts";
import { watch } from "./watch.ts";

export const memoryStore: typeof memory.memoryStore = (bounds, surroundings) => {
	const store = memory.memoryStore<object>(bounds, surroundings);
	const set: typeof store.set = (tenant, name, value, ...more) =>
		store.set(tenant, name, watch("cached", value), ...more);
	return { ...store, set } as ReturnType<typeof memory.memoryStore<never>>;
};
