/** The audit log: a part of what `limits.ts` has. */

// Audit log
/** An id has 12 bits for the number of a record in its request. */
export const recordsPerAppend = 4096;
/** Durable Objects that a tenant's records of one region are spread over. */
export const auditShardsMax = 16;
/** Of each call to an object of the log. */
export const auditTimeoutMs = 5_000;
/** How long appends of an isolate gather at the most, while the ones before them are written. */
export const auditGroupMs = 10;
/** One that is open for longer has lost its sender, or its isolate stood still: nobody joins it. */
export const auditGroupStaleMs = 200;
/** Appends that are written together; one that is larger is written alone. */
export const auditBlockBytes = 256 * 1024;
/** Links of records that an object keeps in memory until these have moved: some 3 MB. */
export const auditLinksHeld = 20_000;
/** What an object keeps for Postgres: at 5,000 signatures a second, more than an hour and a half. */
export const auditBacklogRecords = 30_000_000;
/** An object may have 10 GB. */
export const auditBacklogBytes = 8_000_000_000;
/** From the first record that waits until it is moved, so that more of them go together. */
export const auditMoveDelayMs = 1_000;
/** Records moved by one statement, and up to a block more; half as many after each failure. */
export const auditMoveRecords = 5_000;
/** The least that a large block is cut into, however often it failed. */
export const auditMoveRecordsMin = 100;
export const auditMovesPerAlarm = 20;
export const auditMoveRetryMs = 1_000;
export const auditMoveRetryMsMax = 30_000;
/** Records that have waited for as long though moves succeed are worth a warning. */
export const auditBacklogLateMs = 60_000;
/** An alarm that has not rung so long after its time is set anew: the platform may be a minute late. */
export const auditAlarmLateMs = 60_000;
/** How long an object knows what was appended under an Idempotency-Key: longer than it can come again. */
export const auditRepeatedKeptMs = 25 * 3600 * 1000;
export const auditRepeatedDeletedPerAlarm = 5_000;
/** A change that was made has this long to bring its record to the log by itself. */
export const auditOutboxWaitSeconds = 60;
/** A call each, of the 1,000 that a run of all jobs has (test/jobs/schedule.test.ts). */
export const auditOutboxPerRun = 300;
/** By one statement: 0.1 s where the log is in the memory of Postgres, of the three that it has. */
export const auditOutboxSettledPerRun = 10_000;
/** Each takes the time-out of a call. */
export const auditOutboxFailuresPerRun = 5;
/** An object keeps the link of one of so many records that have moved, and so many of them: some 300 MB. */
export const auditMarkRecords = 200;
export const auditMarksMost = 5_000_000;
export const auditMarksKeptMs = 400 * 24 * 3600 * 1000;
export const auditMarksDeletedPerAlarm = 1_000;
/** Partitions that are made ahead. */
export const auditPartitionDaysAhead = 7;
/** Records that wait for their partition and are copied by one statement: some 0.2 s, of the three that it has. */
export const auditPartitionSliceRecords = 5_000;
/** Such statements of a run: 200,000 records. */
export const auditPartitionCallsPerRun = 40;
export const auditAddressChars = 64;
/** What records have in common with others, kept encoded by an isolate: some 500 bytes each. */
export const auditHeadsRemembered = 2_000;
/** Of an outcome that is kept so: a code of a refusal is no longer. */
export const auditOutcomeChars = 64;

// The audit log's archive
export const auditHotDaysDefault = 30;
/** Yesterday's partition may still get records. */
export const auditHotDaysMin = 1;
export const auditHotDaysMax = 3650;
export const auditRetentionDaysMax = 36_500;
/** A power of two, so that the files of a day are whole subtrees of its Merkle tree. About 1 MB, and 50 MB while it is made. */
export const auditArchiveFileRecords = 8_192;
/** What a reader decodes at once. */
export const auditArchiveGroupRecords = 1_024;
/** Read from Postgres by one statement, as JSON of about 200 KB: one go, which others wait for. */
export const auditArchivePageRecords = 256;
/** About half a second of CPU time each, of the 30 that a run has; some 40 calls each, of 1,000. */
export const auditArchiveFilesPerRun = 20;
/** Values (a record has 19, and is gone through some four times) that are worked on in one go, half a millisecond or less. */
export const auditArchivePaceValues = 256;
/** A turn is done for some 3 records: a fifth more than come with single signatures, whatever their rate. */
export const auditArchiveRestRequests = 2.5;
/** 230 records a second where less comes; with nothing beside it some 3,000. */
export const auditArchiveRestMs = 15;
/** Then it waits for a moment without a request under way, and for no longer than so many looks. */
export const auditArchiveLookMs = 2;
export const auditArchiveLooks = 10;
/** Of a rest, for who shares the thread; a turn that took long may have several in one. */
export const auditArchiveRestTimeoutMs = 5_000;
/** Of one call of R2, to put a file with its rests too. */
export const archiveTimeoutMs = 30_000;
/** Of a call of the archive's worker, which looks into many files for one page. */
export const auditColdTimeoutMs = 60_000;
/** Of a file, that goes to R2 or comes from there at once. */
export const auditArchivePieceBytes = 128 * 1024;
/** No file is begun later than this in a run: the next one begins after a minute. */
export const auditArchiveRunMs = 40_000;
/** Keys that a file's part of the manifest names; where there are more, it names none. */
export const auditArchiveFileKeys = 16;
/** Of numbers, that a manifest has of a chain: those of records that cross midnight in another order, and of late ones. */
export const auditStretchesOfChain = 512;
/** Of all of a day's chains: some 400 KB of a line of an export. */
export const auditStretchesOfDay = 16_384;
/** The end of a file, where a reader finds out what is in it. */
export const auditArchiveTailBytes = 64 * 1024;
/** Files and days that are looked into for one page of records. */
export const auditArchiveFilesPerRead = 32;
export const auditArchiveDaysPerRead = 31;
export const auditExpiredDaysPerRun = 20;
/** Each may take the time-out of a call. */
export const auditExpiredFailuresPerRun = 5;
/** Named by one call of R2. */
export const auditArchiveKeysPerCall = 1000;

// Reading the audit log
/** Records that one source looks at for one page; then the page ends, and the next one goes on. */
export const auditScanRecords = 20_000;
/** Objects of the log that are asked at once. */
export const auditObjectsAtOnce = 8;
/** Records of an export that are read and held at once. */
export const auditExportPage = 2_000;
/** Chains that an export may come upon beside those of its checkpoint: there is an object each, or a forger. */
export const auditExportChains = 10_000;
/** Exports of an isolate beside each other, and of one tenant there. */
export const auditExportsAtOnce = 6;
export const auditExportsOfTenant = 3;
/** What each is accounted for with: a page as records, as lines and as bytes. */
export const auditExportBytes = 8 * 1024 * 1024;
/** An answer that nobody has begun to send after as long gives up its place. */
export const auditExportBeginMs = 10_000;
/** What is sent of an export at once. */
export const auditExportSliceBytes = 128 * 1024;
/** Such a part that is not taken for as long cuts the export off. */
export const auditExportIdleMs = 180_000;
/** How often it is asked whether an export may go on, while the tenant's coordinator is away. */
export const auditExportAdmissions = 40;
/** Longer than a receiver may be idle and the archive may take for a read. */
export const auditExportSilentMs = 300_000;
export const auditExportRetryMs = 10_000;
/** Records of an export between two signatures: a stretch that a forger would have to forge as a whole. */
export const auditSealRecords = 10_000;
/** Records of an export as Parquet that stand together: held until they do, and some 25 MB while they are encoded. */
export const auditExportGroupRecords = 4_096;
/** Of deleted days, which an export tells of. */
export const auditManifestsAtOnce = 6;
/** Of a file, which a verifier reads and hashes at once. */
export const auditVerifyBytes = 1024 * 1024;
/** Of a line of an export, which a verifier holds: the first one names every chain, in some 300 bytes each. */
export const auditExportLineBytes = 4 * 1024 * 1024;
/** The longest way from a record to the head of its chain that a proof shows, and what is looked through for it. */
export const auditPathRecords = 1_000;
export const auditPathPages = 4;
/** What is looked through for the way to a link that an object kept: of all the tenant's chains. */
export const auditMarkPages = 16;
/** The record before one in its chain is not always older; by more than this it hardly ever is. */
export const auditPathAheadMs = 1_000;
/** Chains of a tenant: one for each region and shard, and for each storage that was lost. */
export const auditChainsRead = 10_000;

// Verifying an export of the audit log, whatever its size
/** Stretches of the chains that a filter left, some 40 MB of them; what neighbours each other is far less apart. */
export const auditVerifyRuns = 50_000;
/** Of numbers that deleted days had, which join from day to day. */
export const auditVerifyStretches = 100_000;
/** What was deleted so shortly before an export, or later, may be in it: R2 and the isolate have a clock each. */
export const auditDeletedBeforeMs = 3_000;
/** Stretches of lines that have not come yet; not less than findings. */
export const auditVerifyGaps = 10_000;
/** Named one by one; the others are counted. */
export const auditVerifyFindings = 1_000;
