/** Every bound of the validation, with its unit in its name. */
export const limits = {
	/** Of all the benchmarks together, which take about six minutes. */
	benchTimeoutMs: 20 * 60_000,
} as const;
