import { startServices } from "../local/services.ts";
import { projectConfig } from "../local/stack.ts";
import { measureScale } from "./audit-scale.ts";
import { startGenerator } from "./generator.ts";
import { measureAudit, measureMove } from "./http-audit.ts";
import { measureBatches } from "./http-batch.ts";
import { measureCold } from "./http-cold.ts";
import { measureCreation } from "./http-create.ts";
import { measureLimiter } from "./http-limiter.ts";
import { measurePool } from "./http-pool.ts";
import { measureSign } from "./http-sign.ts";
import { measurePeers } from "./peers/measure.ts";
import type { Plan } from "./plan.ts";
import { createService, type HttpBench } from "./service.ts";
import { benchConfig, type Ground, startWorker, variantConfig } from "./workers.ts";

/** The groups of figures that are measured together, and what measures them. */
const groups: Readonly<Record<string, (plan: Plan, bench: HttpBench) => Promise<void>>> = {
	"http/sign": measureSign,
	"http/batch": measureBatches,
	"http/create": measureCreation,
	cold: measureCold,
	limiter: measureLimiter,
	"audit/sign": measureAudit,
	"audit/move": measureMove,
	"audit/scale": measureScale,
	peers: measurePeers,
	pool: measurePool,
};

/** The service over HTTP, with a real PostgreSQL behind it, beside a worker that does nothing. */
export async function runHttp(plan: Plan, ground: Ground): Promise<void> {
	const wanted = Object.entries(groups).filter(([id]) => plan.wants(id));
	if (wanted.length === 0) return;
	plan.progress("starting PostgreSQL, the gateways and the workers");
	const services = await startServices({ ...ground, durable: true, urls: [] });
	const worker = await startWorker(ground, "service", projectConfig, services.vars);
	const empty = await startWorker(ground, "empty", benchConfig("empty"));
	const generator = startGenerator(ground, plan.signal);
	const bench: HttpBench = {
		ground,
		service: createService(worker, services.admin.token),
		empty,
		generator,
		startVariant: async (name, variant, inspectorPort) =>
			startWorker(
				ground,
				name,
				await variantConfig(ground, name, variant),
				services.vars,
				inspectorPort,
			),
		databaseUrl: services.databaseUrl,
		adminToken: services.admin.token,
		folder: ground.folder.path,
	};
	for (const [, measure] of wanted) await measure(plan, bench);
}
