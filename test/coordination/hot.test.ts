import { expect, it } from "vitest";
import { HotNames } from "../../src/coordination/hot.ts";
import * as limits from "../../src/limits.ts";

it("names the most used first", () => {
	const hot = new HotNames(0);
	for (const name of ["a", "b", "c", "b", "c", "c"]) hot.use(name);
	expect(hot.top(2)).toEqual(["c", "b"]);
});

it("lets a use count half after a while, and forgets it in the end", () => {
	const hot = new HotNames(0);
	hot.add([["old", 8]], 0);
	hot.add([["new", 5]], limits.hotHalfLifeMs);
	expect(hot.top(2)).toEqual(["new", "old"]);
	hot.add([], 10 * limits.hotHalfLifeMs);
	expect(hot.top(2)).toEqual([]);
});

it("drops the least used where there is no room", () => {
	const hot = new HotNames(0);
	hot.add([["most", 9]], 0);
	hot.add([["least", 0.5]], 0);
	for (let i = 0; i < limits.hotNamesHeld - 1; i++) hot.add([[`name ${i}`, 2]], 0);
	const names = hot.top(limits.hotNamesHeld + 1);
	expect(names).toHaveLength(limits.hotNamesHeld);
	expect(names).toContain("most");
	expect(names).not.toContain("least");
});

it("tells what it took, and has it no more", () => {
	const hot = new HotNames(0);
	for (const name of ["a", "b", "b"]) hot.use(name);
	expect(hot.take(1)).toEqual([["b", 2]]);
	expect(hot.take(1)).toEqual([]);
});
