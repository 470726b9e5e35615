import { Cron } from "croner";

export interface CronClock {
	stop(): void;
}

/**
 * Fires each cron line by the clock, as the platform does: in UTC, 1 being Sunday.
 * A line whose last run still goes on is left out.
 * @param fire gets the line and the time it stands for, in milliseconds since the epoch
 * @param onError gets what a run threw
 */
export function startCronClock(
	crons: readonly string[],
	fire: (cron: string, scheduledTime: number) => Promise<void>,
	onError: (cron: string, error: unknown) => void,
): CronClock {
	const jobs = crons.map(
		(cron) =>
			new Cron(
				cron,
				{
					timezone: "UTC",
					alternativeWeekdays: true,
					protect: true,
					unref: true,
					catch: (error) => onError(cron, error),
				},
				(job: Cron) => fire(cron, job.currentRun()?.getTime() ?? Date.now()),
			),
	);
	return {
		stop() {
			for (const job of jobs) job.stop();
		},
	};
}
