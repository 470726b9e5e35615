import type { Env } from "../../../src/env.ts";
import service from "../../../src/index.ts";

export * from "../../../src/index.ts";

/** What each sign request spins for before the service has it. */
let spins = 0;
/** Written to, so that no compiler leaves the spinning out. */
let state = 1;

/**
 * The service as it is, slowed down: `POST /plant?us=15` puts so many microseconds of the processor into
 * the way of each sign request, which no clock is asked about then.
 */
export default {
	fetch(request, env, context) {
		if (request.url.endsWith("/sign")) spin(spins);
		else if (request.url.includes("/plant?us=")) {
			const microseconds = Number(new URL(request.url).searchParams.get("us"));
			spins = Math.round((microseconds * spinsPerMs()) / 1000);
			return Response.json({ spins });
		}
		return service.fetch(request, env, context);
	},
	scheduled: service.scheduled,
} satisfies ExportedHandler<Env>;

function spin(times: number): void {
	for (let i = 0; i < times; i++) state = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) | 1;
}

const windowMs = 5;
const windows = 8;
const chunk = 1_000;

/** Of several windows the best: in the others something else had the processor, or the loop was not compiled. */
function spinsPerMs(): number {
	let most = 0;
	for (let window = 0; window < windows; window++) {
		const start = performance.now();
		let now = start;
		let done = 0;
		while (now - start < windowMs) {
			spin(chunk);
			done += chunk;
			now = performance.now();
		}
		most = Math.max(most, done / (now - start));
	}
	return most;
}
