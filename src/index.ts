import { createApp } from "./app.ts";
import type { Env } from "./env.ts";
import { runScheduled } from "./jobs/schedule.ts";
import { servicesOf } from "./services.ts";

export { AuditLog } from "../durable-objects/audit-log.ts";
export { Coordinator } from "../durable-objects/coordinator.ts";
export { Idempotency } from "../durable-objects/idempotency.ts";

const app = createApp();

export default {
	fetch: app.fetch,
	scheduled: (controller, env) => runScheduled(servicesOf(env), controller.cron),
} satisfies ExportedHandler<Env>;
