import { statements as alerts } from "./alerts.ts";
import { statements as auditArchives } from "./audit-archives.ts";
import { statements as auditEvents } from "./audit-events.ts";
import { statements as auditOutbox } from "./audit-outbox.ts";
import { statements as auditReads } from "./audit-reads.ts";
import { statements as benchmarks } from "./benchmarks.ts";
import { closingStatements, pingStatement, type Statement } from "./client.ts";
import { statements as config } from "./config.ts";
import { statements as effects } from "./effects.ts";
import { statements as keys } from "./keys.ts";
import { statements as published } from "./published-keys.ts";
import { statements as sealed } from "./sealed.ts";
import { statements as spares } from "./spares.ts";
import { statements as tenants } from "./tenants.ts";
import { statements as tokens } from "./tokens.ts";
import { statements as usage } from "./usage.ts";

/** Every statement of the service. Tools read it; the worker does not. */
export const allStatements: readonly Statement[] = [
	pingStatement,
	...Object.values(closingStatements),
	...Object.values(alerts),
	...Object.values(auditArchives),
	...Object.values(auditEvents),
	...Object.values(auditOutbox),
	...Object.values(auditReads),
	...Object.values(benchmarks),
	...Object.values(config),
	...Object.values(effects),
	...Object.values(keys),
	...Object.values(published),
	...Object.values(sealed),
	...Object.values(spares),
	...Object.values(tenants),
	...Object.values(tokens),
	...Object.values(usage),
];
