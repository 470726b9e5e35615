/**
 * The operationIds of what takes a token: each of them may be on record, and be it as a refusal. Routes are held to
 * them by their type (routes/route.ts).
 */
export const callersActions = [
	"sign",
	"verify",
	"signBatch",
	"verifyBatch",
	"signJwt",
	"verifyStateless",
	"createKey",
	"importKey",
	"listKeys",
	"getKey",
	"updateKey",
	"rotateKey",
	"enableKey",
	"disableKey",
	"restoreKey",
	"deleteKey",
	"listKeyVersions",
	"getPublicKey",
	"createToken",
	"listTokens",
	"revokeToken",
	"getConfig",
	"putConfig",
	"listConfigVersions",
	"rollbackConfig",
	"listAudit",
	"exportAudit",
	"getAuditCheckpoint",
	"getAuditRecord",
	"getAuditRecordProof",
	"listUsage",
	"listUsedKeys",
	"getCache",
	"purgeCache",
	"warmCache",
	"listBenchmarks",
	"runBenchmark",
	"listBenchmarkAlerts",
] as const;

/**
 * What is done without a caller: by the service itself, or by its operator at the database. There is no
 * operationId to go by; a dot tells these from those.
 */
export const ownActions = [
	"audit.expire",
	"keys.purge",
	"operator.createTenant",
	"operator.createToken",
	"operator.rewrap",
] as const;

export type CallersAction = (typeof callersActions)[number];
export type OwnAction = (typeof ownActions)[number];
