import { AuditLog as DeployedAuditLog } from "../../../durable-objects/audit-log.ts";
import type { Env } from "../../../src/env.ts";
import service from "../../../src/index.ts";
import { fromBase64 } from "../../../src/lib/bytes.ts";
import { createCoordinators } from "../../../src/ratelimit/coordinator.ts";
import type { Adopted } from "./messages.ts";

export * from "../../../src/index.ts";

/** The object as it is deployed, but that it can be given a chain whose records are elsewhere already. */
export class AuditLog extends DeployedAuditLog {
	async adopt({ id, sequence, link }: Adopted): Promise<void> {
		const { sql } = this.ctx.storage;
		sql.exec(
			"update chain set id = ?, moved_sequence = ?, moved_link = ?",
			id,
			sequence,
			fromBase64(link),
		);
		sql.exec("insert or ignore into registered (chain) values (?)", id);
		await this.ctx.storage.sync();
		this.ctx.abort("begins anew with its chain");
	}
}

/** `POST /adopt` tells an object its chain; anything else is the service's. */
export default {
	...service,
	async fetch(request, env, context) {
		if (new URL(request.url).pathname !== "/adopt") return service.fetch(request, env, context);
		const adopted = (await request.json()) as Adopted;
		const { tenant, place, id } = adopted;
		await createCoordinators(env.COORDINATOR).chainBegan(tenant, place, id);
		const object = env.AUDIT_LOG.getByName(place) as unknown as AuditLog;
		await object.adopt(adopted).catch(() => {}); // which ends by itself
		return Response.json(null);
	},
} satisfies ExportedHandler<Env>;
