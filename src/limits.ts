/**
 * Every bound, time to live and timeout of the service, with its unit in its name.
 * A loop, buffer or wait that is not bounded here is a defect. Used as `limits.…`; the bundler writes the numbers.
 */
import { auditTimeoutMs } from "./limits/audit.ts";

export * from "./limits/audit.ts";

// Requests
export const bodyBytesDefault = 64 * 1024;
export const bodyBytesSign = 1536 * 1024; // a message of 1 MiB in base64, and the JSON around it
export const bodyBytesBatch = 4 * 1024 * 1024;
export const bodyTimeoutMs = 15_000;
/** How far ahead a request's one timer is set: as the shortest of what it waits for with it. */
export const requestTimerMs = auditTimeoutMs;
/** Of a batch that is read before it is known whether its tenant can pay for it. */
export const bodyBytesUnpaid = 16 * 1024;
/** A body that is too large and says so is read all the same up to here, so that its sender sees the refusal. */
export const bodyBytesDrained = 8 * 2 ** 20;
export const bodyBytesDrainedAtOnce = 256 * 1024;
export const messageBytes = 1024 * 1024;
export const jsonDepth = 16;
/** Names in all objects of a body: no body that is taken has as many. */
export const jsonNames = 20_000;
export const batchItems = 1000;
/** Items of a batch times the versions that each may be tried with. */
export const batchVerifications = 2000;
/** Items of a batch after which other requests get their turn: noble does not yield by itself. */
export const batchItemsPerTurn = 25;
/** Batches of more items that an isolate works on at once. The others wait in their order. */
export const batchesAtOnce = 2;
/** After so long one goes behind those that wait; and who shows no life for so long is gone. */
export const batchHoldMs = 1_000;
export const batchWaitMs = 10_000;
/** How often a batch that waits looks whether those before it are still there. */
export const batchCheckMs = 100;
export const referenceChars = 256;
export const signatureChars = 1024; // RSA-4096 in base64 has 684
export const fieldErrorsShown = 20;
export const fieldNameCharsShown = 64;
export const valueCharsShown = 64;
export const cursorChars = 96;
export const bearerTokenChars = 128;
export const tenantChars = 32;

// Keys
export const keyNameChars = 128;
export const keyVersions = 1000;
/** Versions read with their key, and tried by a verify that names none. */
export const keyVersionsLoaded = 16;
export const tagsPerKey = 32;
export const tagNameChars = 64;
export const tagValueChars = 256;
export const deletionDaysMin = 7;
export const deletionDaysMax = 30;
export const casAttempts = 5;
export const keyMaterialChars = 16 * 1024; // a PEM or JWK; an RSA-4096 private key needs under 4 KiB
export const hmacKeyBytesMin = 32;
export const hmacKeyBytesMax = 512;
export const rsaModulusBitsMin = 2048;
/** What WebCrypto makes in Workers are multiples of it. */
export const rsaModulusBitsStep = 128;
export const rsaModulusBitsMax = 4096;

// Tokens
export const tokenSecretBytes = 32;
export const tokenNameChars = 128;
export const tokenPatterns = 64;
export const tokenLifetimeSecondsMax = 10 * 365 * 24 * 3600;

// Configuration
export const configVersionMax = 2_147_483_647; // an integer of Postgres
export const configNoteChars = 256;

// JWT
export const jwtLifetimeSecondsMax = 10 * 365 * 24 * 3600;

// Lists
export const pageSizeDefault = 50;
export const pageSizeMax = 200;
export const jwksKeys = 1000;

// Coordination
export const quotaMax = 10_000_000;
export const quotaWindowSecondsMax = 3_600;
export const coordinatorShardsMax = 16;
/** The least that each of several shards has of a limit: an isolate spends from one of them alone. */
export const quotaPerShardMin = 1_000;
/** The least that each shard has for reading and changing the configuration. */
export const configureQuotaMin = 10;
/** How long a lease lasts: the bound of a revocation. */
export const leaseTtlMs = 2_000;
/** The coordinator counts leases this much longer than isolates do. */
export const leaseGraceMs = 100;
/** How long a lease lasts as the coordinator counts it, and a change with `fence` waits at the most. */
export const leaseMs = leaseTtlMs + leaseGraceMs;
/** How often an answer is made anew because something of the tenant changed meanwhile. */
export const answerRenewals = 3;
/** From this age on a lease is renewed in the background. */
export const leaseRenewMs = 1_000;
/** The demand that a lease is to cover until the next one, at the pace of late. */
export const leaseHorizonMs = 1_500;
/** How long a coordinator remembers an isolate's latest question, against older ones that come late. */
export const leaseReportMs = 60_000;
/** How often it lets go of leases that have ended. */
export const leaseReleaseMs = 100;
/** Where tokens are scarce, an isolate asks for them no sooner than this after the last time. */
export const leasePauseMs = 100;
/** What an isolate was granted counts against its share later on, half as much after this. */
export const leaseMemoryMs = 2_000;
/** Who did not ask for so long has no share kept for it. */
export const leaseClaimMs = 300;
/** The same pause, where only its share is used up. */
export const leaseShortPauseMs = 20;
/** One in so many parts of a bucket is much: what was spent of it is told at once, where no more can be. */
export const leaseTellParts = 8;
/** How often less is told, of a token's own bucket, while that refuses. */
export const leaseTellMs = 250;
/** The shortest time over which demand is measured. */
export const leasePaceMs = 50;
/** Long enough for a coordinator that wakes and has to ask Postgres first. */
export const leaseTimeoutMs = 3_000;
/** An answer of the coordinator that takes longer is a sign of overload: the way round the world takes 300 ms. */
export const leaseSlowMs = 1_000;
/** After a coordinator failed to answer it is left alone for as long. */
export const leaseFailurePauseMs = 250;
/** How long a request waits for the answer that another one of its isolate asked for, before it asks itself. */
export const leaseFollowMs = 150;
/** How often it looks meanwhile. */
export const leasePollMs = 5;
export const leasePolls = 1_000;
export const lanesPerAsk = 32;
/** Lanes that an isolate keeps of a tenant: operations, roles, and tokens with a limit of their own. */
export const lanesPerTenant = 512;
/** Tenants whose leases an isolate keeps. */
export const leaseTenants = 5_000;
/** Isolates times lanes that a coordinator deals with at once. */
export const leaseGrants = 20_000;
export const bucketsPerTenant = 2_000;
export const shedIntervalMs = 500;
/** Less important work is refused from so many troubled intervals in a row on. */
export const shedTroubledIntervals = 3;
/** After so many without a word of a dependency what was before tells nothing: leases are renewed more often. */
export const shedSilentIntervals = 6;
/** Requests at once in an isolate that are more than it can get through in good time. */
export const backlogRequests = 2_000;
/** Callers who are not signed in, each address, in an isolate; wrangler.toml has the platform's figure. */
export const addressQuota = 60_000;
export const addressWindowMs = 60_000;
/** What an unknown token costs of it: it is looked for in the database. */
export const addressUnknownTokenCost = 100;
/** What is left of that for a token that turned out to be good. */
export const addressLookUpCost = 10;
export const addressesRemembered = 7_500;
/** Tokens, in an isolate, that count as any request does when they are looked up again. */
export const goodTokensRemembered = 4_000;
export const addressTimeoutMs = 250;
/** When the platform's limiter refuses it does not say for how long; its window is a minute. */
export const addressRetryMs = 60_000;
export const shedRetryMs = 2_000;
/** Announcing and confirming a change, each: a new configuration is read in between. */
export const changeCallTimeoutMs = 6_000;
export const changeRetryMs = 1_000;
/** From its announcement on, the time in which the last statement of a change may begin. */
export const changeWriteMs = 10_000;
/** An announced change that nobody confirms ends in a new epoch after this: longer than any commit takes. */
export const changeTimeoutMs = 15_000;

// Idempotency-Key
export const idempotencyKeyChars = 255;
export const idempotencySeedBytes = 32;
/** How long an answer is kept. */
export const idempotencyKeptMs = 24 * 3600 * 1000;
/** An attempt that has not ended by then is given up: longer than any but a stalled one takes. */
export const idempotencyRunningMs = 30_000;
/** Of each call to the object that keeps the answers. */
export const idempotencyTimeoutMs = 5_000;
/** Durable Objects that a tenant's answers are spread over. */
export const idempotencyShards = 16;
/** A thousand RSA-4096 signatures with their references; a value of SQLite has 2 MB at the most. */
export const idempotentAnswerBytes = 1_900_000;
export const idempotencyDeletedPerAlarm = 500;
/** From here on an object takes no new keys. It may have 10 GB. */
export const idempotencyBytes = 8_000_000_000;
export const idempotencyFullRetryMs = 60_000;
/** Longer than any attempt can come after the first one. */
export const effectsKeptHours = 48;

// The isolate's memory
/** What the platform gives an isolate; beyond it the isolate is ended, with all that it was doing. */
export const isolateBytes = 128 * 1024 * 1024;
/** Parts of that from which on caches give back, take nothing more, and requests are refused. */
export const memoryEvictPart = 0.7;
export const memoryStopPart = 0.85;
export const memoryShedPart = 0.95;
/** The program itself, its libraries and what a request makes on its way. */
export const memoryProgramBytes = 24 * 1024 * 1024;
export const memoryBodiesBytes = 12 * 1024 * 1024;
export const memoryLeasesBytes = 20 * 1024 * 1024;
export const memoryAddressesBytes = 2 * 1024 * 1024;
export const memoryAnalysisBytes = 12 * 1024 * 1024;
/** Holds of a body, for each of its bytes: the text, what it is parsed to, and what is made of that. */
export const bodyBytesHeldPerByte = 3;
export const cacheKeysEntries = 10_000;
export const cacheKeysBytes = 16 * 1024 * 1024;
export const cacheTokensEntries = 20_000;
export const cacheTokensBytes = 8 * 1024 * 1024;
export const cacheDocumentsEntries = 500;
export const cacheDocumentsBytes = 8 * 1024 * 1024;
/** Entries are dropped when the epoch moves; this bounds what no epoch tells of, such as a change by hand. */
export const cacheTtlMs = 30_000;
/** From this age on one request renews an entry for the others. */
export const cacheRenewMs = 20_000;
/**
 * How long past its time what was read under a living lease is still used while Postgres does not answer: nothing
 * can be changed there then, and an epoch would tell.
 */
export const cacheKeptMs = 4 * 3600 * 1000;
/** An expired entry is not swept for as long: somebody may find out that Postgres does not answer. */
export const cacheGraceMs = 30_000;
/** The part of its bytes that a cache does not give back, however short memory is. */
export const cacheFloorPart = 1 / 16;
/** How often it is asked whether Postgres answers again; and for how long after that it may go away anew. */
export const originProbeMs = 2_000;
/** How long it is believed that it does not: longer than a probe and its time-out take, which tell so again and again. */
export const originBelievedMs = 10_000;
export const originTroubledMs = 15 * 60_000;
/** Whoever reads a public document has no lease, so its age is its only bound. */
export const cacheDocumentsTtlMs = 2_000;
export const cacheDocumentsRenewMs = 1_500;
/** Answers that are expensive to read, such as counts and trends. */
export const cacheResultsEntries = 500;
export const cacheResultsBytes = 2 * 1024 * 1024;
export const cacheResultsTtlMs = 5_000;
/** Times to live are cut by up to this part of them, so that what came together does not go together. */
export const cacheJitterPart = 0.1;
/** How long it is remembered that nobody has a name, and the room for that in each cache. */
export const cacheNegativeMs = 2_000;
export const cacheNegativeEntries = 1_000;
export const cacheNegativeBytes = 512 * 1024;
/** Expired entries that one call lets go of. */
export const cacheSweepPerCall = 4;
/** Of a cache's names, those whose reads are analysed; fewer where these are too many. */
export const cacheSamplePart = 1 / 8;
/** Names whose reuse is followed, and names that each simulated cache holds. */
export const cacheReuseNames = 4_096;
export const cacheMiniatureNames = 1_024;
/** From here on, what was counted before counts half. */
export const cacheCurveReads = 1_000_000;
/** Before that there is no advice. */
export const cacheAdviceReads = 1_000;
/** And of those as many of names in the sample. */
export const cacheAdviceSampledReads = 100;
/** What isolates share in Redis: a value may be as old as this when it comes to an isolate. */
export const cacheSharedTtlSeconds = 30;
/** What lies there for while Postgres does not answer, as cacheKeptMs: an isolate that begins then knows nothing else. */
export const cacheSharedKeptSeconds = 4 * 3600;
/** Of each call to Redis: what one that is slow costs a request, once. */
export const cacheSharedTimeoutMs = 100;
/** After a call that failed nobody asks for so long; twice as long after each one that fails again. */
export const cacheSharedPauseMs = 1_000;
export const cacheSharedPauseMsMax = 30_000;
export const cacheSharedValueChars = 256 * 1024;
export const cacheCompressedFromBytes = 1_024;
/** Tenants whose key to the shared values an isolate keeps derived. */
export const cacheSealKeys = 1_000;
/** Rows that an object of a tenant is reading for isolates, or has read this short a while ago. */
export const loadsHeld = 10_000;
export const loadsHeldMs = 500;
/** Keys that an isolate is given with the first reading under an epoch, because they are used most. */
export const warmKeys = 16;
/** Names of a tenant whose uses are counted: by each isolate, and by the object that they tell. */
export const hotNamesHeld = 64;
/** Tenants that an isolate counts for, and knows whether it has read anything of. */
export const hotTenantsHeld = 200;
/** How often an isolate that misses something tells its tenant's object what it used. */
export const hotToldMs = 10_000;
/** After this time a use counts half. */
export const hotHalfLifeMs = 60_000;
/** Of a call that asks an object to read; longer than databaseTimeoutMs. */
export const loadTimeoutMs = 6_000;
/** Changed tenants that a cache remembers, against reads that began before the change. */
export const cacheDropsRemembered = 10_000;
/** Of public documents at whoever keeps them, and once more as long while they are asked for anew. */
export const documentsMaxAgeSeconds = 300;
export const jwksMaxAgeSeconds = 60;

// Calls that leave the process
export const databaseTimeoutMs = 5_000;
/** Set on the worker's database role, so that Postgres too ends what nobody waits for any more. */
export const databaseStatementMs = 3_000;
export const databaseTransactionMs = 4_000;
/** A statement that takes as long is logged. */
export const slowQueryMs = 500;
/** How often an isolate tells what its statements took. */
export const queryStatisticsMs = 60_000;
export const queryNames = 200;
/** A request that asks under one name more often has a loop around it; a change is tried again casAttempts times. */
export const queriesOfOneName = 6;
/** Of a read replica, before the primary is asked; and how long it is left alone then, see cacheSharedPauseMs. */
export const replicaTimeoutMs = 1_000;
export const replicaPauseMs = 1_000;
export const replicaPauseMsMax = 30_000;
export const readinessTimeoutMs = 2_000;
export const retryAfterSeconds = 1;

// Benchmarks of the deployed service
/** How often the time of a figure is taken. All together under 32: a request may call workers no more often. */
export const benchmarkRounds = 5;
export const benchmarkBurstRounds = 3;
/** Requests, or questions, of one call: as each signature is a record for ever, not many. */
export const benchmarkRequests = 4;
/** The same where nothing is written and nobody is asked. */
export const benchmarkCheapRequests = 20;
export const benchmarkBurst = 200;
export const benchmarkBurstAtOnce = 32;
/** What failed once is asked again: of an isolate that was busy with something else nothing is told. */
export const benchmarkAttempts = 2;
/** No further round of a figure is begun after this. */
export const benchmarkFigureMs = 2_000;
export const benchmarkCallMs = 8_000;
/** Nothing is begun after this: one call may still go on. */
export const benchmarkRunMs = 20_000;
/** Longer than a run and its last calls. */
export const benchmarkTimeoutMs = 40_000;
/** What a run costs who asks for it, in hundredths of a token: about the requests that it makes. */
export const benchmarkRunCost = 30_000;
/** Cron ticks are a minute apart and not on the dot: a run may come so much before its interval is over. */
export const benchmarkSlackSeconds = 30;
/** Tenants whose runs are stored in one tick; the others, who have waited less, have the next. */
export const benchmarkTenantsPerRun = 50;
export const benchmarkFailuresPerRun = 5;
/** Runs that a new one is compared with, and that trends are of. */
export const benchmarkHistoryRuns = 100;
/** Runs before, whose median is what was usual. */
export const benchmarkUsualRuns = 20;
export const benchmarkUsualRunsMin = 3;
export const benchmarkKeptDays = 30;
export const purgeBenchmarksPerRun = 10_000;
/** A change point that moves a figure by less is none to be told of: by its part, and in milliseconds. */
export const benchmarkLeastChange = 0.2;
export const benchmarkLeastChangeMs = 1;
/** The probability that a history without a change shows one, over all figures together. */
export const benchmarkFalseAlarms = 0.05;
export const benchmarkTokenBytes = 32;

// Connections that a Durable Object keeps to Postgres
export const poolSize = 20;
/** Connections beside those, when none of them came back for so long and somebody waits. */
export const poolOverflow = 30;
export const poolOverflowAfterMs = 100;
/** Connections that are opened at the same time. */
export const poolOpeningAtOnce = 8;
export const poolWaiters = 1_000;
export const poolAcquireTimeoutMs = 5_000;
export const poolConnectTimeoutMs = 3_000;
export const poolConnectRetryMs = 50;
export const poolConnectRetryMsMax = 2_000;
/** A connection that was idle for longer is asked whether it is still there before it is lent. */
export const poolCheckAfterMs = 1_000;
export const poolCheckTimeoutMs = 1_000;
/** Longer than records wait to be moved; as long as an object has open ones it is not evicted. */
export const poolIdleMs = 3_000;
/** Longer than any statement or transaction takes. */
export const poolLeakMs = 10_000;

// Jobs: work per run, so that one run stays inside the platform's CPU time
/** Each of another tenant at the worst, with four calls: the platform allows 1,000 for all jobs of a run. */
export const purgeKeysPerRun = 100;
export const purgeEffectsPerRun = 10_000;
export const usageShownDays = 30;
export const usageKeptDays = 400;
export const purgeUsagePerRun = 10_000;
export const rewrapPerSlice = 200;
export const rewrapPasses = 10;
export const spareRsaKeysPerSize = 4;
export const spareRsaKeysMadePerRun = 4;
