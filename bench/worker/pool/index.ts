import { AuditLog as DeployedAuditLog } from "../../../durable-objects/audit-log.ts";
import { createDatabase } from "../../../src/db/client.ts";
import { connectPool, type PooledDatabase } from "../../../src/db/pooled.ts";
import { tenantExists } from "../../../src/db/tenants.ts";
import { type Env, readEnvironment } from "../../../src/env.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { sleep } from "../../../src/lib/sleep.ts";
import { createLog } from "../../../src/observe/log.ts";
import type { HoldRequest, PoolMeasured, PoolRequest } from "./messages.ts";

export { Benchmark } from "../../../durable-objects/benchmark.ts";
export { Coordinator } from "../../../durable-objects/coordinator.ts";
export { Idempotency } from "../../../durable-objects/idempotency.ts";

/** An object that asks Postgres one small thing again and again. */
export class AuditLog extends DeployedAuditLog {
	#pool: PooledDatabase | null = null;

	async measure({ form, borrowers, milliseconds }: PoolRequest): Promise<PoolMeasured> {
		const db = form === "pool" ? this.#connected() : createDatabase(readEnvironment(this.env));
		const times: number[] = [];
		let connections = 0;
		const begin = performance.now();
		const borrow = async () => {
			while (performance.now() < begin + milliseconds) {
				const asked = performance.now();
				if (!(await tenantExists(db, "main"))) throw new Error("the tenant is not there");
				times.push(performance.now() - asked);
				const { inUse = 0, idle = 0 } = form === "pool" ? (this.#pool?.figures() ?? {}) : {};
				connections = Math.max(connections, inUse + idle);
			}
		};
		await Promise.all(Array.from({ length: borrowers }, borrow));
		const seconds = (performance.now() - begin) / 1000;
		times.sort((a, b) => a - b);
		const at = (share: number) => times[Math.floor(times.length * share)] ?? Number.NaN;
		return {
			perSecond: times.length / seconds,
			p50Ms: at(0.5),
			p95Ms: at(0.95),
			connections,
		};
	}

	/** The most connections that were open at once. */
	async hold({ borrowers, milliseconds }: HoldRequest): Promise<number> {
		const db = this.#connected();
		let connections = 0;
		const keep = () =>
			db.withTransaction("bench.held", async () => {
				const { inUse, idle } = db.figures();
				connections = Math.max(connections, inUse + idle);
				await sleep(milliseconds);
			});
		await Promise.all(Array.from({ length: borrowers }, keep));
		return connections;
	}

	#connected(): PooledDatabase {
		const config = readEnvironment(this.env);
		const parts = { clock: systemClock, random: systemRandom, log: createLog(config.logLevel) };
		this.#pool ??= connectPool(config, parts);
		return this.#pool;
	}
}

/** `POST` of a request: what was measured. */
export default {
	async fetch(request, env) {
		const object = env.AUDIT_LOG.getByName("main/enam/0") as unknown as AuditLog;
		const wanted = await request.json<PoolRequest | HoldRequest>();
		return Response.json(
			wanted.form === "held" ? await object.hold(wanted) : await object.measure(wanted),
		);
	},
} satisfies ExportedHandler<Env>;
