/** Stands for src/limits/audit.ts in the bundle (leaks.ts): few records are worth a connection here. */
export * from "../../../src/limits/audit.ts";
export const auditMoveRecords = 50;
