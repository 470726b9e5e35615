import { Coordinator as DeployedCoordinator } from "../../../durable-objects/coordinator.ts";
import type { Env } from "../../../src/env.ts";
import service from "../../../src/index.ts";

export * from "../../../src/index.ts";

/** Of this isolate, in which the objects live too. */
let leases = 0;

export class Coordinator extends DeployedCoordinator {
	override lease(...ask: Parameters<DeployedCoordinator["lease"]>) {
		leases++;
		return super.lease(...ask);
	}
}

/** The service as it is; `GET /leases` answers how many times a coordinator was asked for one. */
export default {
	fetch(request, env, context) {
		if (new URL(request.url).pathname === "/leases") return Response.json({ leases });
		return service.fetch(request, env, context);
	},
} satisfies ExportedHandler<Env>;
