/** From the most to the least that is told. */
export const logLevels = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

/** null for one that is not known. */
export function logLevelOf(text: string): LogLevel | null {
	return logLevels.find((known) => known === text) ?? null;
}
