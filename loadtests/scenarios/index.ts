import type { Scenario } from "../scenario.ts";
import { archive } from "./archive.ts";
import { attack } from "./attack.ts";
import { jobs } from "./jobs.ts";
import { outage } from "./outage.ts";
import { recovery } from "./recovery.ts";
import { soak } from "./soak.ts";
import { spike } from "./spike.ts";
import { steady } from "./steady.ts";
import { stress } from "./stress.ts";
import { users } from "./users.ts";

/** Every scenario by its name. */
export const scenarios = {
	...{ steady, spike, stress, soak, users, jobs, attack, recovery, outage, archive },
} as const satisfies Readonly<Record<string, Scenario>>;
