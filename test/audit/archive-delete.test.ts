import { expect, it } from "vitest";
import type { Archive } from "../../src/audit/archive-bucket.ts";
import { deleteUnder } from "../../src/audit/archive-delete.ts";

/** R2 that lists no more than two keys at once, which it may do; a cursor is the last of them. */
function listingTwo(keys: Set<string>): Archive {
	return {
		async list({ prefix = "", cursor = "" }: R2ListOptions = {}) {
			const left = [...keys].filter((key) => key.startsWith(prefix) && key > cursor).sort();
			const objects = left.slice(0, 2).map((key) => ({ key }));
			const truncated = left.length > 2;
			return { objects, truncated, ...(truncated && { cursor: objects[1]?.key }) };
		},
		async delete(gone: string[]) {
			for (const key of gone) keys.delete(key);
		},
	} as unknown as Archive;
}

it("deletes what was chosen of every page that a prefix has, and tells how many", async () => {
	const keys = new Set([
		"a/1.log",
		"a/2.log",
		"a/3.keep",
		"a/4.keep",
		"a/5.log",
		"a/6.log",
		"b/7.log",
	]);
	expect(await deleteUnder(listingTwo(keys), "a/", (key) => key.endsWith(".log"))).toBe(4);
	expect([...keys]).toEqual(["a/3.keep", "a/4.keep", "b/7.log"]);
});
