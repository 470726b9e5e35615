/** Watches the lanes of leases: stands for src/ratelimit/lane.ts in the bundle (leaks.ts). */
import * as lane from "../../../src/ratelimit/lane.ts";
import { watch } from "./watch.ts";

export * from "../../../src/ratelimit/lane.ts";

/** What the lanes that were made are for: each can be there once. */
export const laneNames = new Set<string>();

export const freshLane: typeof lane.freshLane = (of, ...more) => {
	laneNames.add(JSON.stringify(of));
	return watch("lane", lane.freshLane(of, ...more));
};
