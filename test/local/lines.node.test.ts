import { describe, expect, it } from "vitest";
import { linesOf } from "../../local/lines.ts";

/** The lines of bytes that come in chunks of this many. */
async function linesIn(bytes: Uint8Array, chunk: number, maxBytes = 100): Promise<unknown[]> {
	async function* chunks() {
		for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
	}
	const lines: unknown[] = [];
	for await (const line of linesOf(chunks(), maxBytes)) lines.push(line);
	return lines;
}

describe.each([1, 2, 5, 1000])("lines in chunks of %i bytes", (chunk) => {
	it("end at a line feed and at nothing else that ends one elsewhere", async () => {
		const lines = ["\uFEFFone\u2028two\u2029three\u0085", "\rfour\r", "", "fünf 🔑"];
		const bytes = Buffer.from(lines.map((line) => `${line}\n`).join(""));
		expect(await linesIn(bytes, chunk)).toEqual(lines);
	});

	it("may end without one", async () => {
		expect(await linesIn(Buffer.from("a\nb"), chunk)).toEqual(["a", "b"]);
	});

	it("are null where one is too long to be held, and the next one is read", async () => {
		const bytes = Buffer.from(`${"a".repeat(10)}\n${"b".repeat(11)}\nc\n`);
		expect(await linesIn(bytes, chunk, 10)).toEqual(["a".repeat(10), null, "c"]);
	});

	it("are null where one is no UTF-8", async () => {
		const bytes = Buffer.concat([Buffer.from('a\n"'), Uint8Array.of(0xff), Buffer.from('"\nb\n')]);
		expect(await linesIn(bytes, chunk)).toEqual(["a", null, "b"]);
	});
});
