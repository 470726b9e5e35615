import { describe, expect, it } from "vitest";
import { errorTable } from "../../src/errors.ts";
import { keyStates } from "../../src/model.ts";
import { lifecycle } from "../../src/signing/states.ts";

const moves = Object.entries(lifecycle);
const steps = moves.flatMap(([move, outcomes]) =>
	keyStates.map((state) => ({ move, state, outcome: outcomes[state] })),
);

describe("the life of a key", () => {
	it("has an outcome for every move from every state", () => {
		expect(moves.map(([move]) => move).sort()).toEqual(
			["delete", "disable", "enable", "restore", "rotate", "update", "use"].sort(),
		);
		expect(steps).toHaveLength(7 * 3);
		for (const { outcome } of steps) expect(outcome).toBeDefined();
	});

	it("leads to states that there are, or refuses with a conflict", () => {
		for (const { outcome } of steps) {
			if ("to" in outcome) expect(keyStates).toContain(outcome.to);
			else expect(errorTable[outcome.refuse].status).toBe(409);
		}
	});

	it("lets a key out of its deletion by a restore alone, and never straight into use", () => {
		const exits = steps.filter(
			({ state, outcome }) => state === "pending_deletion" && "to" in outcome,
		);
		expect(exits).toEqual([
			{ move: "restore", state: "pending_deletion", outcome: { to: "disabled" } },
		]);
	});

	it("enables nothing but by an enable", () => {
		const enabling = steps.filter(
			({ state, outcome }) => state !== "enabled" && "to" in outcome && outcome.to === "enabled",
		);
		expect(enabling.map(({ move }) => move)).toEqual(["enable"]);
	});

	it("lets only an enabled key be used", () => {
		for (const move of ["use"] as const) {
			expect(lifecycle[move]).toEqual({
				enabled: { to: "enabled" },
				disabled: { refuse: "key_disabled" },
				pending_deletion: { refuse: "key_pending_deletion" },
			});
		}
	});

	it("can be left from every state and reached from every other", () => {
		const reach = (from: string) => {
			const seen = new Set([from]);
			for (const state of seen) {
				for (const step of steps) {
					if (step.state === state && "to" in step.outcome) seen.add(step.outcome.to);
				}
			}
			return [...seen].sort();
		};
		for (const state of keyStates) expect(reach(state)).toEqual([...keyStates].sort());
	});
});
