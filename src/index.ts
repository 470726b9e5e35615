import { WorkerEntrypoint } from "cloudflare:workers";
import { createApp } from "./app.ts";
import { answerOf, type ProbeRequest, type ProbeRpc, repeat } from "./benchmark/probe.ts";
import type { Env } from "./env.ts";
import { runScheduled } from "./jobs/schedule.ts";
import { servicesOf } from "./services.ts";

export { AuditLog } from "../durable-objects/audit-log.ts";
export { Benchmark } from "../durable-objects/benchmark.ts";
export { Coordinator } from "../durable-objects/coordinator.ts";
export { Idempotency } from "../durable-objects/idempotency.ts";

const app = createApp();

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
	scheduled: (controller, env) => runScheduled(servicesOf(env), controller.cron),
} satisfies ExportedHandler<Env>;
