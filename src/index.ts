import { WorkerEntrypoint } from "cloudflare:workers";
import { createApp } from "./app.ts";
import { answerOf, type ProbeRequest, type ProbeRpc, repeat } from "./benchmark/probe.ts";
import type { Env } from "./env.ts";
import { runScheduled } from "./jobs/run.ts";
import { schedule } from "./jobs/schedule.ts";
import type { NeighbourRpc } from "./lib/neighbour.ts";
import { servicesOf } from "./services.ts";

export { AuditLog } from "../durable-objects/audit-log.ts";
export { Benchmark } from "../durable-objects/benchmark.ts";
export { Coordinator } from "../durable-objects/coordinator.ts";
export { Idempotency } from "../durable-objects/idempotency.ts";

const app = createApp();

/**
 * For a worker that shares this one's thread, as all of them do on one machine: it takes its turns between
 * the requests of this isolate, and waits for them here. Deployed nothing is bound to it.
 */
export class Neighbour extends WorkerEntrypoint<Env> implements NeighbourRpc {
	rest(turns: number) {
		return servicesOf(this.env).betweenRequests(turns);
	}
}

/** The service's requests of itself. It has no address: only a binding of this worker's own leads here. */
export class Probe extends WorkerEntrypoint<Env> implements ProbeRpc {
	answer(request: ProbeRequest) {
		return answerOf(() => this.#send(request));
	}

	repeat(request: ProbeRequest, count: number, atOnce: number) {
		return repeat(() => this.#send(request), count, atOnce);
	}

	async heldBytes() {
		return servicesOf(this.env).heldBytes();
	}

	async #send({ path, method, headers, body }: ProbeRequest): Promise<Response> {
		const request = new Request(`https://edgesign.internal${path}`, { method, headers, body });
		return app.fetch(request, this.env, this.ctx);
	}
}

export default {
	fetch: app.fetch,
	scheduled: (controller, env) => runScheduled(schedule, servicesOf(env), controller.cron),
} satisfies ExportedHandler<Env>;
