/** Stands for src/limits/audit.ts in the bundle (leaks.ts): few records are worth a connection here. */
import * as limits from "../../../src/limits/audit.ts";

export const auditLimits = { ...limits.auditLimits, auditMoveRecords: 50 };
