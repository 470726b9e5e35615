import type { Scenario } from "../scenario.ts";
import { steady } from "./steady.ts";

/** Every scenario by its name. */
export const scenarios: Readonly<Record<string, Scenario>> = { steady };
