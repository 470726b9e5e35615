import { rm } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { newDataDir } from "../support/node/data-dir.ts";
import { runChaos } from "./chaos.ts";
import { killSchedule } from "./schedule.ts";

describe("while workerd, Postgres and Redis are killed under load", () => {
	it("each signature that a caller was given has one record, and every chain holds", async () => {
		const seed = Math.floor(Math.random() * 2 ** 31);
		const dataDir = await newDataDir();
		try {
			const { problems, signatures, killed, answers } = await runChaos({
				...{ kills: 6, seed, dataDir, patienceMs: 1_000 },
			});
			console.log(`npm run chaos -- --kills 6 --seed ${seed}: ${signatures} signatures`);
			expect(killed.length).toBe(6);
			expect(signatures).toBeGreaterThan(100);
			// Else nothing was in its way.
			expect([...answers.keys()].some((status) => status === 0 || status >= 500)).toBe(true);
			expect(
				Object.entries(problems).filter(([, found]) => found.length > 0),
				`seed ${seed}`,
			).toEqual([]);
		} finally {
			await rm(dataDir, { recursive: true, force: true });
		}
	}, 300_000);
});

describe("the schedule of kills", () => {
	const victims = ["workerd", "postgres", "redis"] as const;

	it("is the same for the same seed, and another for another one", () => {
		expect(killSchedule(7, 20, victims)).toEqual(killSchedule(7, 20, victims));
		expect(killSchedule(7, 20, victims)).not.toEqual(killSchedule(8, 20, victims));
	});

	it("kills each as often as the others", () => {
		const killed = killSchedule(7, 30, victims).map(({ victim }) => victim);
		for (const name of victims) expect(killed.filter((victim) => victim === name).length).toBe(10);
	});
});
