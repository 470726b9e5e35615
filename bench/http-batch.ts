import { type Measured, remarksOn } from "./generator.ts";
import type { Plan } from "./plan.ts";
import { type HttpBench, sampleMessage } from "./service.ts";
import { median } from "./stats.ts";

const sizes = [100, 1000];
const connections = 4;
const blockMs = 1_500;
const rounds = 6;
const key = "bench-batch";

/** Ed25519 signatures per second in batches. */
export async function measureBatches(plan: Plan, { service, generator }: HttpBench): Promise<void> {
	await service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	for (const size of sizes) {
		const id = `http/batch/${size}`;
		const items = Array.from({ length: size }, () => ({ message: sampleMessage }));
		const request = service.prepare(`/v1/keys/${key}/sign-batch`, { items });
		const outcomes: Measured[] = [];
		for (let round = 0; round < rounds; round++) {
			plan.progress(`${id}: round ${round + 1} of ${rounds}`);
			const job = { request, connections, warmUpMs: 500, measureMs: blockMs, rate: null };
			outcomes.push(await generator.run(service.worker, job));
		}
		const rate = (outcome: Measured) => outcome.perSecond * size;
		const latency = median(outcomes.flatMap(({ latencyMs }) => latencyMs?.p50 ?? []));
		plan.done({
			id,
			unit: "signatures/s",
			value: median(outcomes.map(rate)),
			samples: outcomes.length,
			notes: [
				`${connections} connections, each batch answered in ${latency.toFixed(1)} ms (p50)`,
				...remarksOn(outcomes),
			],
		});
	}
}
