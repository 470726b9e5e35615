import { expect, test } from "vitest";
import { describe } from "../../local/problem.ts";

test.each([
	["EMFILE", /^edgesign: too few files may be open at once: raise the limit .* \(EMFILE.*\)$/],
	["ENOSPC", /^edgesign: ENOSPC: no space left$/],
])("%s is the machine's and a line for a person", (code, line) => {
	expect(describe(Object.assign(new Error(`${code}: no space left`), { code }))).toMatch(line);
});

test("a defect of ours is told with its trace", () => {
	expect(describe(new TypeError("x is not a function"))).toContain("problem.node.test.ts");
});
