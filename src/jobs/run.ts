import type { Clock } from "../lib/clock.ts";
import { describeError, type Log } from "../observe/log.ts";

/** Answers how much it did, for the log. Each run does a bounded piece of work, and the next goes on. */
type Job<Services> = (services: Services) => Promise<number>;

/** The clock of a worker: cron expression (UTC) to jobs. Its wrangler.toml lists the same expressions. */
export type Schedule<Services> = Readonly<Record<string, Readonly<Record<string, Job<Services>>>>>;

/** Runs the jobs of one tick. One that fails is logged and does not keep the others from running. */
export async function runScheduled<Services extends { readonly clock: Clock; readonly log: Log }>(
	schedule: Schedule<Services>,
	services: Services,
	cron: string,
): Promise<void> {
	for (const [name, job] of Object.entries(schedule[cron] ?? {})) {
		const start = services.clock();
		try {
			const count = await job(services);
			services.log({ event: "job_done", job: name, milliseconds: services.clock() - start, count });
		} catch (error) {
			services.log({ event: "job_failed", job: name, error: describeError(error) });
		}
	}
}
