/**
 * Every bound, time to live and timeout of the service, with its unit in its name.
 * A loop, buffer or wait that is not bounded here is a defect.
 */
export const limits = {
	// Requests
	bodyBytesDefault: 64 * 1024,
	bodyBytesSign: 1536 * 1024, // a message of 1 MiB in base64, and the JSON around it
	bodyBytesBatch: 4 * 1024 * 1024,
	bodyTimeoutMs: 15_000,
	/** A body that took longer than this is worth another look at its token. */
	bodyWaitUncheckedMs: 100,
	messageBytes: 1024 * 1024,
	jsonDepth: 16,
	batchItems: 1000,
	/** Items of a batch times the versions that each may be tried with. */
	batchVerifications: 2000,
	/** Items of a batch after which other requests get their turn: noble does not yield by itself. */
	batchItemsPerTurn: 25,
	referenceChars: 256,
	signatureChars: 1024, // RSA-4096 in base64 has 684
	fieldErrorsShown: 20,
	fieldNameCharsShown: 64,
	valueCharsShown: 64,
	bearerTokenChars: 128,
	tenantChars: 32,

	// Keys
	keyNameChars: 128,
	keyVersions: 1000,
	/** Versions read with their key, and tried by a verify that names none. */
	keyVersionsLoaded: 16,
	tagsPerKey: 32,
	tagNameChars: 64,
	tagValueChars: 256,
	deletionDaysMin: 7,
	deletionDaysMax: 30,
	casAttempts: 5,
	keyMaterialChars: 16 * 1024, // a PEM or JWK; an RSA-4096 private key needs under 4 KiB
	hmacKeyBytesMin: 32,
	hmacKeyBytesMax: 512,
	rsaModulusBitsMin: 2048,
	rsaModulusBitsMax: 4096,

	// Tokens
	tokenSecretBytes: 32,
	tokenNameChars: 128,
	tokenPatterns: 64,
	tokenLifetimeSecondsMax: 10 * 365 * 24 * 3600,

	// JWT
	jwtLifetimeSecondsMax: 10 * 365 * 24 * 3600,

	// Lists
	pageSizeDefault: 50,
	pageSizeMax: 200,
	jwksKeys: 1000,

	// Isolate memory caches
	cacheKeysEntries: 10_000,
	cacheKeysBytes: 16 * 1024 * 1024,
	cacheTokensEntries: 20_000,
	cacheTokensBytes: 8 * 1024 * 1024,
	cacheDocumentsEntries: 500,
	cacheDocumentsBytes: 8 * 1024 * 1024,
	/** How long an isolate may sign on what it read: the bound of a revocation. */
	cacheTtlMs: 2_000,
	/** From this age on one request renews an entry for the others. */
	cacheRenewMs: 1_500,
	/** How long a change is remembered against reads that began before it: longer than any read takes. */
	cacheForgetMemoryMs: 10_000,
	documentsMaxAgeSeconds: 300,
	jwksMaxAgeSeconds: 60,
	jwksStaleSeconds: 60,

	// Calls that leave the process
	databaseTimeoutMs: 5_000,
	readinessTimeoutMs: 2_000,
	retryAfterSeconds: 1,

	// Jobs: work per run, so that one run stays inside the platform's CPU time
	purgeKeysPerRun: 500,
	rewrapPerSlice: 200,
	rewrapPasses: 10,
	spareRsaKeysPerSize: 4,
	spareRsaKeysMadePerRun: 4,
} as const;
