import { seeded } from "../support/node/simulation.ts";

export type Victim = "workerd" | "postgres" | "redis";

export interface Kill {
	readonly victim: Victim;
	/** From the kill before it, or from the beginning. */
	readonly afterMs: number;
	/** How long PostgreSQL lies there; the others are started again at once. */
	readonly downMs: number;
}

const afterMs = { least: 300, most: 2_500 };
const downMsMost = 2_000;

/** Which process is killed when: the same for the same seed, and each as often as the others. */
export function killSchedule(seed: number, kills: number, victims: readonly Victim[]): Kill[] {
	const draw = seeded(seed);
	const schedule: Kill[] = [];
	let left: Victim[] = [];
	for (let kill = 0; kill < kills; kill++) {
		if (left.length === 0) left = [...victims];
		const [victim] = left.splice(Math.floor(draw() * left.length), 1);
		if (!victim) throw new Error("there is nothing to kill");
		schedule.push({
			victim,
			afterMs: Math.round(afterMs.least + draw() * (afterMs.most - afterMs.least)),
			downMs: Math.round(draw() * downMsMost),
		});
	}
	return schedule;
}
