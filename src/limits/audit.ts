/** The audit log: a part of `limits`, by which it is used. */
export const auditLimits = {
	// Audit log
	/** An id has 12 bits for the number of a record in its request. */
	recordsPerAppend: 4096,
	/** Durable Objects that a tenant's records of one region are spread over. */
	auditShardsMax: 16,
	/** Of each call to an object of the log. */
	auditTimeoutMs: 5_000,
	/** How long appends of an isolate gather at the most, while the ones before them are written. */
	auditGroupMs: 10,
	/** One that is open for longer has lost its sender, or its isolate stood still: nobody joins it. */
	auditGroupStaleMs: 200,
	/** Appends that are written together; one that is larger is written alone. */
	auditBlockBytes: 256 * 1024,
	/** Links of records that an object keeps in memory until these have moved: some 3 MB. */
	auditLinksHeld: 20_000,
	/** What an object keeps for Postgres: at 5,000 signatures a second, more than an hour and a half. */
	auditBacklogRecords: 30_000_000,
	/** An object may have 10 GB. */
	auditBacklogBytes: 8_000_000_000,
	/** From the first record that waits until it is moved, so that more of them go together. */
	auditMoveDelayMs: 1_000,
	/** Records moved by one statement, and up to a block more; half as many after each failure. */
	auditMoveRecords: 5_000,
	/** The least that a large block is cut into, however often it failed. */
	auditMoveRecordsMin: 100,
	auditMovesPerAlarm: 20,
	auditMoveRetryMs: 1_000,
	auditMoveRetryMsMax: 30_000,
	/** Records that have waited for as long though moves succeed are worth a warning. */
	auditBacklogLateMs: 60_000,
	/** An alarm that has not rung so long after its time is set anew: the platform may be a minute late. */
	auditAlarmLateMs: 60_000,
	/** How long an object knows what was appended under an Idempotency-Key: longer than it can come again. */
	auditRepeatedKeptMs: 25 * 3600 * 1000,
	auditRepeatedDeletedPerAlarm: 5_000,
	/** A change that was made has this long to bring its record to the log by itself. */
	auditOutboxWaitSeconds: 60,
	/** A call each, of the 1,000 that a run of all jobs has (test/jobs/schedule.test.ts). */
	auditOutboxPerRun: 300,
	/** By one statement: 0.1 s where the log is in the memory of Postgres, of the three that it has. */
	auditOutboxSettledPerRun: 10_000,
	/** Each takes the time-out of a call. */
	auditOutboxFailuresPerRun: 5,
	/** An object keeps the link of one of so many records that have moved, and so many of them: some 300 MB. */
	auditMarkRecords: 200,
	auditMarksMost: 5_000_000,
	auditMarksKeptMs: 400 * 24 * 3600 * 1000,
	auditMarksDeletedPerAlarm: 1_000,
	/** Partitions that are made ahead. */
	auditPartitionDaysAhead: 7,
	/** Records that wait for their partition and are copied by one statement: some 0.2 s, of the three that it has. */
	auditPartitionSliceRecords: 5_000,
	/** Such statements of a run: 200,000 records. */
	auditPartitionCallsPerRun: 40,
	auditAddressChars: 64,
	/** What records have in common with others, kept encoded by an isolate: some 500 bytes each. */
	auditHeadsRemembered: 2_000,
	/** Of an outcome that is kept so: a code of a refusal is no longer. */
	auditOutcomeChars: 64,

	// The audit log's archive
	auditHotDaysDefault: 30,
	/** Yesterday's partition may still get records. */
	auditHotDaysMin: 1,
	auditHotDaysMax: 3650,
	auditRetentionDaysMax: 36_500,
	/** A power of two, so that the files of a day are whole subtrees of its Merkle tree. About 1 MB, and 50 MB while it is made. */
	auditArchiveFileRecords: 8_192,
	/** What a reader decodes at once. */
	auditArchiveGroupRecords: 1_024,
	/** Read from Postgres by one statement, as JSON of about 200 KB: one go, which others wait for. */
	auditArchivePageRecords: 256,
	/** About half a second of CPU time each, of the 30 that a run has; some 40 calls each, of 1,000. */
	auditArchiveFilesPerRun: 20,
	/** Values (a record has 19, and is gone through some four times) that are worked on in one go, half a millisecond or less. */
	auditArchivePaceValues: 256,
	/** A turn is done for some 3 records: a fifth more than come with single signatures, whatever their rate. */
	auditArchiveRestRequests: 2.5,
	/** 230 records a second where less comes; with nothing beside it some 3,000. */
	auditArchiveRestMs: 15,
	/** Then it waits for a moment without a request under way, and for no longer than so many looks. */
	auditArchiveLookMs: 2,
	auditArchiveLooks: 10,
	/** Of a rest, for who shares the thread; a turn that took long may have several in one. */
	auditArchiveRestTimeoutMs: 5_000,
	/** Of one call of R2, to put a file with its rests too. */
	archiveTimeoutMs: 30_000,
	/** Of a call of the archive's worker, which looks into many files for one page. */
	auditColdTimeoutMs: 60_000,
	/** Of a file, that goes to R2 or comes from there at once. */
	auditArchivePieceBytes: 128 * 1024,
	/** No file is begun later than this in a run: the next one begins after a minute. */
	auditArchiveRunMs: 40_000,
	/** Keys that a file's part of the manifest names; where there are more, it names none. */
	auditArchiveFileKeys: 16,
	/** Of numbers, that a manifest has of a chain: those of records that cross midnight in another order, and of late ones. */
	auditStretchesOfChain: 512,
	/** Of all of a day's chains: some 400 KB of a line of an export. */
	auditStretchesOfDay: 16_384,
	/** The end of a file, where a reader finds out what is in it. */
	auditArchiveTailBytes: 64 * 1024,
	/** Files and days that are looked into for one page of records. */
	auditArchiveFilesPerRead: 32,
	auditArchiveDaysPerRead: 31,
	auditExpiredDaysPerRun: 20,
	/** Each may take the time-out of a call. */
	auditExpiredFailuresPerRun: 5,
	/** Named by one call of R2. */
	auditArchiveKeysPerCall: 1000,

	// Reading the audit log
	/** Records that one source looks at for one page; then the page ends, and the next one goes on. */
	auditScanRecords: 20_000,
	/** Objects of the log that are asked at once. */
	auditObjectsAtOnce: 8,
	/** Records of an export that are read and held at once. */
	auditExportPage: 2_000,
	/** Chains that an export may come upon beside those of its checkpoint: there is an object each, or a forger. */
	auditExportChains: 10_000,
	/** Exports of an isolate beside each other, and of one tenant there. */
	auditExportsAtOnce: 6,
	auditExportsOfTenant: 3,
	/** What each is accounted for with: a page as records, as lines and as bytes. */
	auditExportBytes: 8 * 1024 * 1024,
	/** An answer that nobody has begun to send after as long gives up its place. */
	auditExportBeginMs: 10_000,
	/** What is sent of an export at once. */
	auditExportSliceBytes: 128 * 1024,
	/** Such a part that is not taken for as long cuts the export off. */
	auditExportIdleMs: 180_000,
	/** How often it is asked whether an export may go on, while the tenant's coordinator is away. */
	auditExportAdmissions: 40,
	/** Longer than a receiver may be idle and the archive may take for a read. */
	auditExportSilentMs: 300_000,
	auditExportRetryMs: 10_000,
	/** Records of an export between two signatures: a stretch that a forger would have to forge as a whole. */
	auditSealRecords: 10_000,
	/** Records of an export as Parquet that stand together: held until they do, and some 25 MB while they are encoded. */
	auditExportGroupRecords: 4_096,
	/** Of deleted days, which an export tells of. */
	auditManifestsAtOnce: 6,
	/** Of a file, which a verifier reads and hashes at once. */
	auditVerifyBytes: 1024 * 1024,
	/** Of a line of an export, which a verifier holds: the first one names every chain, in some 300 bytes each. */
	auditExportLineBytes: 4 * 1024 * 1024,
	/** The longest way from a record to the head of its chain that a proof shows, and what is looked through for it. */
	auditPathRecords: 1_000,
	auditPathPages: 4,
	/** What is looked through for the way to a link that an object kept: of all the tenant's chains. */
	auditMarkPages: 16,
	/** The record before one in its chain is not always older; by more than this it hardly ever is. */
	auditPathAheadMs: 1_000,
	/** Chains of a tenant: one for each region and shard, and for each storage that was lost. */
	auditChainsRead: 10_000,

	// Verifying an export of the audit log, whatever its size
	/** Stretches of the chains that a filter left, some 40 MB of them; what neighbours each other is far less apart. */
	auditVerifyRuns: 50_000,
	/** Of numbers that deleted days had, which join from day to day. */
	auditVerifyStretches: 100_000,
	/** What was deleted so shortly before an export, or later, may be in it: R2 and the isolate have a clock each. */
	auditDeletedBeforeMs: 3_000,
	/** Stretches of lines that have not come yet; not less than findings. */
	auditVerifyGaps: 10_000,
	/** Named one by one; the others are counted. */
	auditVerifyFindings: 1_000,
} as const;
