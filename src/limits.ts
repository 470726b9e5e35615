import { auditLimits } from "./limits/audit.ts";

/** How long a lease lasts: the bound of a revocation. */
const leaseTtlMs = 2_000;
/** The coordinator counts leases this much longer than isolates do. */
const leaseGraceMs = 100;

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
	/** How far ahead a request's one timer is set: as the shortest of what it waits for with it. */
	requestTimerMs: auditLimits.auditTimeoutMs,
	/** Of a batch that is read before it is known whether its tenant can pay for it. */
	bodyBytesUnpaid: 16 * 1024,
	/** A body that is too large and says so is read all the same up to here, so that its sender sees the refusal. */
	bodyBytesDrained: 8 * 2 ** 20,
	bodyBytesDrainedAtOnce: 256 * 1024,
	messageBytes: 1024 * 1024,
	jsonDepth: 16,
	/** Names in all objects of a body: no body that is taken has as many. */
	jsonNames: 20_000,
	batchItems: 1000,
	/** Items of a batch times the versions that each may be tried with. */
	batchVerifications: 2000,
	/** Items of a batch after which other requests get their turn: noble does not yield by itself. */
	batchItemsPerTurn: 25,
	/** Batches of more items that an isolate works on at once. The others wait in their order. */
	batchesAtOnce: 2,
	/** After so long one goes behind those that wait; and who shows no life for so long is gone. */
	batchHoldMs: 1_000,
	batchWaitMs: 10_000,
	/** How often a batch that waits looks whether those before it are still there. */
	batchCheckMs: 100,
	referenceChars: 256,
	signatureChars: 1024, // RSA-4096 in base64 has 684
	fieldErrorsShown: 20,
	fieldNameCharsShown: 64,
	valueCharsShown: 64,
	cursorChars: 96,
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
	/** What WebCrypto makes in Workers are multiples of it. */
	rsaModulusBitsStep: 128,
	rsaModulusBitsMax: 4096,

	// Tokens
	tokenSecretBytes: 32,
	tokenNameChars: 128,
	tokenPatterns: 64,
	tokenLifetimeSecondsMax: 10 * 365 * 24 * 3600,

	// Configuration
	configVersionMax: 2_147_483_647, // an integer of Postgres
	configNoteChars: 256,

	// JWT
	jwtLifetimeSecondsMax: 10 * 365 * 24 * 3600,

	// Lists
	pageSizeDefault: 50,
	pageSizeMax: 200,
	jwksKeys: 1000,

	// Coordination
	quotaMax: 10_000_000,
	quotaWindowSecondsMax: 3_600,
	coordinatorShardsMax: 16,
	/** The least that each of several shards has of a limit: an isolate spends from one of them alone. */
	quotaPerShardMin: 1_000,
	/** The least that each shard has for reading and changing the configuration. */
	configureQuotaMin: 10,
	leaseTtlMs,
	leaseGraceMs,
	/** How long a lease lasts as the coordinator counts it, and a change with `fence` waits at the most. */
	leaseMs: leaseTtlMs + leaseGraceMs,
	/** How often an answer is made anew because something of the tenant changed meanwhile. */
	answerRenewals: 3,
	/** From this age on a lease is renewed in the background. */
	leaseRenewMs: 1_000,
	/** The demand that a lease is to cover until the next one, at the pace of late. */
	leaseHorizonMs: 1_500,
	/** How long a coordinator remembers an isolate's latest question, against older ones that come late. */
	leaseReportMs: 60_000,
	/** How often it lets go of leases that have ended. */
	leaseReleaseMs: 100,
	/** Where tokens are scarce, an isolate asks for them no sooner than this after the last time. */
	leasePauseMs: 100,
	/** What an isolate was granted counts against its share later on, half as much after this. */
	leaseMemoryMs: 2_000,
	/** Who did not ask for so long has no share kept for it. */
	leaseClaimMs: 300,
	/** The same pause, where only its share is used up. */
	leaseShortPauseMs: 20,
	/** One in so many parts of a bucket is much: what was spent of it is told at once, where no more can be. */
	leaseTellParts: 8,
	/** How often less is told, of a token's own bucket, while that refuses. */
	leaseTellMs: 250,
	/** The shortest time over which demand is measured. */
	leasePaceMs: 50,
	/** Long enough for a coordinator that wakes and has to ask Postgres first. */
	leaseTimeoutMs: 3_000,
	/** An answer of the coordinator that takes longer is a sign of overload: the way round the world takes 300 ms. */
	leaseSlowMs: 1_000,
	/** After a coordinator failed to answer it is left alone for as long. */
	leaseFailurePauseMs: 250,
	/** How long a request waits for the answer that another one of its isolate asked for, before it asks itself. */
	leaseFollowMs: 150,
	/** How often it looks meanwhile. */
	leasePollMs: 5,
	leasePolls: 1_000,
	lanesPerAsk: 32,
	/** Lanes that an isolate keeps of a tenant: operations, roles, and tokens with a limit of their own. */
	lanesPerTenant: 512,
	/** Tenants whose leases an isolate keeps. */
	leaseTenants: 5_000,
	/** Isolates times lanes that a coordinator deals with at once. */
	leaseGrants: 20_000,
	bucketsPerTenant: 2_000,
	shedIntervalMs: 500,
	/** Less important work is refused from so many troubled intervals in a row on. */
	shedTroubledIntervals: 3,
	/** After so many without a word of a dependency what was before tells nothing: leases are renewed more often. */
	shedSilentIntervals: 6,
	/** Requests at once in an isolate that are more than it can get through in good time. */
	backlogRequests: 2_000,
	/** Callers who are not signed in, each address, in an isolate; wrangler.toml has the platform's figure. */
	addressQuota: 60_000,
	addressWindowMs: 60_000,
	/** What an unknown token costs of it: it is looked for in the database. */
	addressUnknownTokenCost: 100,
	/** What is left of that for a token that turned out to be good. */
	addressLookUpCost: 10,
	addressesRemembered: 7_500,
	/** Tokens, in an isolate, that count as any request does when they are looked up again. */
	goodTokensRemembered: 4_000,
	addressTimeoutMs: 250,
	/** When the platform's limiter refuses it does not say for how long; its window is a minute. */
	addressRetryMs: 60_000,
	shedRetryMs: 2_000,
	/** Announcing and confirming a change, each: a new configuration is read in between. */
	changeCallTimeoutMs: 6_000,
	changeRetryMs: 1_000,
	/** From its announcement on, the time in which the last statement of a change may begin. */
	changeWriteMs: 10_000,
	/** An announced change that nobody confirms ends in a new epoch after this: longer than any commit takes. */
	changeTimeoutMs: 15_000,

	// Idempotency-Key
	idempotencyKeyChars: 255,
	idempotencySeedBytes: 32,
	/** How long an answer is kept. */
	idempotencyKeptMs: 24 * 3600 * 1000,
	/** An attempt that has not ended by then is given up: longer than any but a stalled one takes. */
	idempotencyRunningMs: 30_000,
	/** Of each call to the object that keeps the answers. */
	idempotencyTimeoutMs: 5_000,
	/** Durable Objects that a tenant's answers are spread over. */
	idempotencyShards: 16,
	/** A thousand RSA-4096 signatures with their references; a value of SQLite has 2 MB at the most. */
	idempotentAnswerBytes: 1_900_000,
	idempotencyDeletedPerAlarm: 500,
	/** From here on an object takes no new keys. It may have 10 GB. */
	idempotencyBytes: 8_000_000_000,
	idempotencyFullRetryMs: 60_000,
	/** Longer than any attempt can come after the first one. */
	effectsKeptHours: 48,

	...auditLimits,

	// The isolate's memory
	/** What the platform gives an isolate; beyond it the isolate is ended, with all that it was doing. */
	isolateBytes: 128 * 1024 * 1024,
	/** Parts of that from which on caches give back, take nothing more, and requests are refused. */
	memoryEvictPart: 0.7,
	memoryStopPart: 0.85,
	memoryShedPart: 0.95,
	/** The program itself, its libraries and what a request makes on its way. */
	memoryProgramBytes: 24 * 1024 * 1024,
	memoryBodiesBytes: 12 * 1024 * 1024,
	memoryLeasesBytes: 20 * 1024 * 1024,
	memoryAddressesBytes: 2 * 1024 * 1024,
	memoryAnalysisBytes: 12 * 1024 * 1024,
	/** Holds of a body, for each of its bytes: the text, what it is parsed to, and what is made of that. */
	bodyBytesHeldPerByte: 3,
	cacheKeysEntries: 10_000,
	cacheKeysBytes: 16 * 1024 * 1024,
	cacheTokensEntries: 20_000,
	cacheTokensBytes: 8 * 1024 * 1024,
	cacheDocumentsEntries: 500,
	cacheDocumentsBytes: 8 * 1024 * 1024,
	/** Entries are dropped when the epoch moves; this bounds what no epoch tells of, such as a change by hand. */
	cacheTtlMs: 30_000,
	/** From this age on one request renews an entry for the others. */
	cacheRenewMs: 20_000,
	/**
	 * How long past its time what was read under a living lease is still used while Postgres does not answer: nothing
	 * can be changed there then, and an epoch would tell.
	 */
	cacheKeptMs: 4 * 3600 * 1000,
	/** An expired entry is not swept for as long: somebody may find out that Postgres does not answer. */
	cacheGraceMs: 30_000,
	/** The part of its bytes that a cache does not give back, however short memory is. */
	cacheFloorPart: 1 / 16,
	/** How often it is asked whether Postgres answers again; and for how long after that it may go away anew. */
	originProbeMs: 2_000,
	originTroubledMs: 15 * 60_000,
	/** Whoever reads a public document has no lease, so its age is its only bound. */
	cacheDocumentsTtlMs: 2_000,
	cacheDocumentsRenewMs: 1_500,
	/** Answers that are expensive to read, such as counts and trends. */
	cacheResultsEntries: 500,
	cacheResultsBytes: 2 * 1024 * 1024,
	cacheResultsTtlMs: 5_000,
	/** Times to live are cut by up to this part of them, so that what came together does not go together. */
	cacheJitterPart: 0.1,
	/** How long it is remembered that nobody has a name, and the room for that in each cache. */
	cacheNegativeMs: 2_000,
	cacheNegativeEntries: 1_000,
	cacheNegativeBytes: 512 * 1024,
	/** Expired entries that one call lets go of. */
	cacheSweepPerCall: 4,
	/** Of a cache's names, those whose reads are analysed; fewer where these are too many. */
	cacheSamplePart: 1 / 8,
	/** Names whose reuse is followed, and names that each simulated cache holds. */
	cacheReuseNames: 4_096,
	cacheMiniatureNames: 1_024,
	/** From here on, what was counted before counts half. */
	cacheCurveReads: 1_000_000,
	/** Before that there is no advice. */
	cacheAdviceReads: 1_000,
	/** And of those as many of names in the sample. */
	cacheAdviceSampledReads: 100,
	/** What isolates share in Redis: a value may be as old as this when it comes to an isolate. */
	cacheSharedTtlSeconds: 30,
	/** What lies there for while Postgres does not answer, as cacheKeptMs: an isolate that begins then knows nothing else. */
	cacheSharedKeptSeconds: 4 * 3600,
	/** Of each call to Redis: what one that is slow costs a request, once. */
	cacheSharedTimeoutMs: 100,
	/** After a call that failed nobody asks for so long; twice as long after each one that fails again. */
	cacheSharedPauseMs: 1_000,
	cacheSharedPauseMsMax: 30_000,
	cacheSharedValueChars: 256 * 1024,
	cacheCompressedFromBytes: 1_024,
	/** Tenants whose key to the shared values an isolate keeps derived. */
	cacheSealKeys: 1_000,
	/** Rows that an object of a tenant is reading for isolates, or has read this short a while ago. */
	loadsHeld: 10_000,
	loadsHeldMs: 500,
	/** Keys that an isolate is given with the first reading under an epoch, because they are used most. */
	warmKeys: 16,
	/** Names of a tenant whose uses are counted: by each isolate, and by the object that they tell. */
	hotNamesHeld: 64,
	/** Tenants that an isolate counts for, and knows whether it has read anything of. */
	hotTenantsHeld: 200,
	/** How often an isolate that misses something tells its tenant's object what it used. */
	hotToldMs: 10_000,
	/** After this time a use counts half. */
	hotHalfLifeMs: 60_000,
	/** Of a call that asks an object to read; longer than databaseTimeoutMs. */
	loadTimeoutMs: 6_000,
	/** Changed tenants that a cache remembers, against reads that began before the change. */
	cacheDropsRemembered: 10_000,
	/** Of public documents at whoever keeps them, and once more as long while they are asked for anew. */
	documentsMaxAgeSeconds: 300,
	jwksMaxAgeSeconds: 60,

	// Calls that leave the process
	databaseTimeoutMs: 5_000,
	/** Set on the worker's database role, so that Postgres too ends what nobody waits for any more. */
	databaseStatementMs: 3_000,
	databaseTransactionMs: 4_000,
	/** A statement that takes as long is logged. */
	slowQueryMs: 500,
	/** How often an isolate tells what its statements took. */
	queryStatisticsMs: 60_000,
	queryNames: 200,
	/** A request that asks under one name more often has a loop around it; a change is tried again casAttempts times. */
	queriesOfOneName: 6,
	/** Of a read replica, before the primary is asked; and how long it is left alone then, see cacheSharedPauseMs. */
	replicaTimeoutMs: 1_000,
	replicaPauseMs: 1_000,
	replicaPauseMsMax: 30_000,
	readinessTimeoutMs: 2_000,
	retryAfterSeconds: 1,

	// Benchmarks of the deployed service
	/** How often the time of a figure is taken. All together under 32: a request may call workers no more often. */
	benchmarkRounds: 5,
	benchmarkBurstRounds: 3,
	/** Requests, or questions, of one call: as each signature is a record for ever, not many. */
	benchmarkRequests: 4,
	/** The same where nothing is written and nobody is asked. */
	benchmarkCheapRequests: 20,
	benchmarkBurst: 200,
	benchmarkBurstAtOnce: 32,
	/** What failed once is asked again: of an isolate that was busy with something else nothing is told. */
	benchmarkAttempts: 2,
	/** No further round of a figure is begun after this. */
	benchmarkFigureMs: 2_000,
	benchmarkCallMs: 8_000,
	/** Nothing is begun after this: one call may still go on. */
	benchmarkRunMs: 20_000,
	/** Longer than a run and its last calls. */
	benchmarkTimeoutMs: 40_000,
	/** What a run costs who asks for it, in hundredths of a token: about the requests that it makes. */
	benchmarkRunCost: 30_000,
	/** Cron ticks are a minute apart and not on the dot: a run may come so much before its interval is over. */
	benchmarkSlackSeconds: 30,
	/** Tenants whose runs are stored in one tick; the others, who have waited less, have the next. */
	benchmarkTenantsPerRun: 50,
	benchmarkFailuresPerRun: 5,
	/** Runs that a new one is compared with, and that trends are of. */
	benchmarkHistoryRuns: 100,
	/** Runs before, whose median is what was usual. */
	benchmarkUsualRuns: 20,
	benchmarkUsualRunsMin: 3,
	benchmarkKeptDays: 30,
	purgeBenchmarksPerRun: 10_000,
	/** A change point that moves a figure by less is none to be told of: by its part, and in milliseconds. */
	benchmarkLeastChange: 0.2,
	benchmarkLeastChangeMs: 1,
	/** The probability that a history without a change shows one, over all figures together. */
	benchmarkFalseAlarms: 0.05,
	benchmarkTokenBytes: 32,

	// Connections that a Durable Object keeps to Postgres
	poolSize: 20,
	/** Connections beside those, when none of them came back for so long and somebody waits. */
	poolOverflow: 30,
	poolOverflowAfterMs: 100,
	/** Connections that are opened at the same time. */
	poolOpeningAtOnce: 8,
	poolWaiters: 1_000,
	poolAcquireTimeoutMs: 5_000,
	poolConnectTimeoutMs: 3_000,
	poolConnectRetryMs: 50,
	poolConnectRetryMsMax: 2_000,
	/** A connection that was idle for longer is asked whether it is still there before it is lent. */
	poolCheckAfterMs: 1_000,
	poolCheckTimeoutMs: 1_000,
	/** Longer than records wait to be moved; as long as an object has open ones it is not evicted. */
	poolIdleMs: 3_000,
	/** Longer than any statement or transaction takes. */
	poolLeakMs: 10_000,

	// Jobs: work per run, so that one run stays inside the platform's CPU time
	/** Each of another tenant at the worst, with four calls: the platform allows 1,000 for all jobs of a run. */
	purgeKeysPerRun: 100,
	purgeEffectsPerRun: 10_000,
	usageShownDays: 30,
	usageKeptDays: 400,
	purgeUsagePerRun: 10_000,
	rewrapPerSlice: 200,
	rewrapPasses: 10,
	spareRsaKeysPerSize: 4,
	spareRsaKeysMadePerRun: 4,
} as const;
