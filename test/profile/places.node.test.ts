import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readPlaces } from "../../profile/places.ts";
import { project } from "../support/node/processes.ts";

let folder: string;
let bundle: string;

beforeAll(async () => {
	folder = await mkdtemp(join(tmpdir(), "edgesign-places-"));
	bundle = join(folder, "index.js");
	const map = {
		version: 3,
		sources: [join(project, "src/signing/sign.ts"), "../node_modules/@noble/hashes/sha2.js"],
		names: ["sign"],
		// Line 1 of the bundle is line 1 of the first source, with the name; line 2 is line 3 of the second.
		mappings: "AAAAA;ACEA",
	};
	await writeFile(`${bundle}.map`, JSON.stringify(map));
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function place(functionName: string, url: string, lineNumber: number) {
	const placeOf = await readPlaces(bundle);
	return placeOf({ id: 1, callFrame: { functionName, url, lineNumber, columnNumber: 0 } });
}

test("a function has the name and the place of the sources, not those of the bundle", async () => {
	const there = { name: "sign", file: "src/signing/sign.ts", line: 1 };
	expect(await place("sign2", "index.js", 0)).toEqual(there);
	expect(await place("p256", "index.js", 0)).toEqual({ ...there, name: "p256" });
	expect(await place("", "index.js", 0)).toEqual({ ...there, name: "(anonymous)" });
});

test("a package's function is named from the package on", async () => {
	expect(await place("process", "index.js", 1)).toEqual({
		...{ name: "process", file: "@noble/hashes/sha2.js", line: 3 },
	});
});

test("the runtime's own functions and scripts are not looked for in the sources", async () => {
	expect(await place("exec", "", -1)).toEqual({ name: "exec", file: "", line: 0 });
	const script = { name: "Hash", file: "node-internal:crypto_hash", line: 1 };
	expect(await place("Hash", "node-internal:crypto_hash", 0)).toEqual(script);
});
