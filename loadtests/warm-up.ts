import type { Phase, Traffic } from "./scenario.ts";

const seconds = 3;

/** Up to the rate, so that connections are open and caches full when the measuring begins. */
export function warmUp(rate: number, mix: Traffic): Phase {
	const loads = [{ rate: rate / 2, rateTo: rate, mix }];
	return { name: "warm-up", seconds, loads, measured: false };
}
