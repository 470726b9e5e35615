/** Every bound and time-out of the load tests, with its unit in its name. */
export const limits = {
	// The generator
	/** How long it naps between two looks at the clock while answers are awaited: the error of a latency. */
	napMs: 0.1,
	/** The same while nothing is under way. */
	idleNapMs: 1,
	/** From the order to run until the first arrival: enough to be on time for it. */
	startDelayMs: 20,
	/** Connections at once, users' own ones included. */
	connectionsMax: 4_096,
	/** Below the 5 s after which servers close a connection that nothing was asked on. */
	idleConnectionMs: 2_000,
	/** Arrivals that wait for a connection; the next ones are dropped. */
	waitingMax: 20_000,
	requestTimeoutMs: 10_000,
	/** How often it looks for requests that have timed out and connections that are idle. */
	sweepMs: 100,
	/** What it measured goes to the parent so often. */
	flushMs: 250,
	/** A cell of the timeline: what ends sooner or later than the run begins is a whole number of them. */
	cellMs: 250,
	readyTimeoutMs: 10_000,
	/** Beyond what was asked for and the time-out of the last request. */
	runGraceMs: 15_000,

	// What is asked for
	ratePerSecondMax: 200_000,
	secondsMax: 24 * 3600,
	usersMax: 4_000,
	stepsMax: 40,

	// When the generator, and not the server, was the limit
	lagP99Ms: 10,
	/** Of one core. */
	generatorCpuShare: 0.85,

	// Around it
	apiTimeoutMs: 30_000,
	apiAttempts: 30,
	apiPauseMs: 1_000,
	/** One line on a terminal, written over so often. */
	progressMs: 500,
	chartPointsMax: 240,
	errorKindsShown: 20,
} as const;
