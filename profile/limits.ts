/** Every bound of the profiler, with its unit in its name. */
export const limits = {
	/** Between two samples. Shorter shows smaller functions, and slows down what it looks at. */
	intervalUsDefault: 250,
	intervalUsMin: 50,
	intervalUsMax: 10_000,
	secondsDefault: 15,
	/** A longer profile is a message, and a file, of hundreds of megabytes. */
	secondsMax: 300,
	usersMax: 4_000,
	ratePerSecondMax: 200_000,
	/** Callers of the scenario `sign`: enough to keep the thread at work. */
	signUsers: 32,
	signWarmUpSeconds: 3,
	heaviestShown: 10,
	heaviestOfPhaseShown: 3,
	/** Calls that took a smaller part of the whole are left out of the flame graph: under a tenth of a pixel. */
	flameShareMin: 0.000_05,
} as const;
