import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { startCronClock } from "../../local/cron.ts";

beforeEach(() => {
	vi.useFakeTimers();
});

afterEach(() => {
	vi.useRealTimers();
});

/** Starts the clock at a time and lets minutes go by. */
async function runs(crons: string[], from: string, minutes: number): Promise<string[]> {
	vi.setSystemTime(new Date(from));
	const seen: string[] = [];
	const clock = startCronClock(
		crons,
		async (cron, at) => {
			seen.push(`${cron} at ${new Date(at).toISOString()}`);
		},
		() => {},
	);
	await vi.advanceTimersByTimeAsync(minutes * 60_000);
	clock.stop();
	await vi.advanceTimersByTimeAsync(10 * 60_000);
	return seen;
}

test("each line is fired at its own times, with the time it stands for, until it is stopped", async () => {
	expect(await runs(["* * * * *", "*/2 * * * *"], "2026-11-21T10:00:30Z", 2)).toEqual([
		"* * * * * at 2026-11-21T10:01:00.000Z",
		"* * * * * at 2026-11-21T10:02:00.000Z",
		"*/2 * * * * at 2026-11-21T10:02:00.000Z",
	]);
});

test("1 is Sunday, as on the platform", async () => {
	// 2026-11-21 is a Saturday.
	expect(await runs(["0 0 * * 1", "0 0 * * 2"], "2026-11-21T23:59:00Z", 2)).toEqual([
		"0 0 * * 1 at 2026-11-22T00:00:00.000Z",
	]);
});

test("a line whose run still goes on is left out, and the others are not", async () => {
	vi.setSystemTime(new Date("2026-11-21T10:00:30Z"));
	const seen: string[] = [];
	const slow = Promise.withResolvers<void>();
	const clock = startCronClock(
		["* * * * *", "*/1 * * * *"],
		(cron) => {
			seen.push(cron);
			return cron === "* * * * *" ? slow.promise : Promise.resolve();
		},
		() => {},
	);
	await vi.advanceTimersByTimeAsync(3 * 60_000);
	expect(seen.filter((cron) => cron === "* * * * *")).toHaveLength(1);
	expect(seen.filter((cron) => cron === "*/1 * * * *")).toHaveLength(3);
	slow.resolve();
	await vi.advanceTimersByTimeAsync(60_000);
	expect(seen.filter((cron) => cron === "* * * * *")).toHaveLength(2);
	clock.stop();
});

test("a run that fails is told of, and the next one comes", async () => {
	vi.setSystemTime(new Date("2026-11-21T10:00:30Z"));
	const told: string[] = [];
	const clock = startCronClock(
		["* * * * *"],
		() => Promise.reject(new Error("no database")),
		(cron, error) => told.push(`${cron}: ${error}`),
	);
	await vi.advanceTimersByTimeAsync(2 * 60_000);
	clock.stop();
	expect(told).toEqual(["* * * * *: Error: no database", "* * * * *: Error: no database"]);
});
