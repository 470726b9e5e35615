import { DurableObject } from "cloudflare:workers";
import type { Measurement } from "../src/benchmark/figures.ts";
import { measure } from "../src/benchmark/measure.ts";
import type { BenchmarkRpc } from "../src/benchmark/object.ts";
import type { ProbeRpc } from "../src/benchmark/probe.ts";
import { createTarget } from "../src/benchmark/target.ts";
import { createRedis } from "../src/cache/connection.ts";
import { createDatabase } from "../src/db/client.ts";
import { type Env, readEnvironment } from "../src/env.ts";
import { systemClock } from "../src/lib/clock.ts";
import { systemRandom } from "../src/lib/random.ts";
import { createCoordinators } from "../src/ratelimit/coordinator.ts";

/** Measures the service from one place, and once at a time. */
export class Benchmark extends DurableObject<Env> implements BenchmarkRpc {
	#running: Promise<Measurement> | null = null;

	measure(): Promise<Measurement> {
		this.#running ??= measure(this.#target(), systemClock).finally(() => {
			this.#running = null;
		});
		return this.#running;
	}

	#target() {
		const config = readEnvironment(this.env);
		// Every export of the worker has a binding here, whose type only its main module knows.
		const { Probe: probe } = this.ctx.exports as unknown as { readonly Probe: ProbeRpc };
		return createTarget({
			probe,
			db: createDatabase(config),
			redis: createRedis(config),
			coordinator: createCoordinators(this.env.COORDINATOR),
			kek: config.keyEncryptionKeys[0],
			clock: systemClock,
			random: systemRandom,
		});
	}
}
