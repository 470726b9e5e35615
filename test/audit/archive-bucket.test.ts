import { env } from "cloudflare:workers";
import { expect, it, vi } from "vitest";
import {
	type Archive,
	ArchiveUnavailable,
	bytesIn,
	inTime,
	piecesOf,
} from "../../src/audit/archive-bucket.ts";
import { AuditUnreadable } from "../../src/audit/source.ts";
import { utf8 } from "../../src/lib/bytes.ts";

const never = () => new Promise<never>(() => {});
const body = () => new ReadableStream<Uint8Array>({ pull: never });

/** R2 that takes a call, or sends an object's head, and is silent then. */
const silent = {
	...{ get: never, put: never, list: never, delete: never },
} as unknown as Archive;
const halting = {
	...silent,
	get: async () => ({ body: body(), arrayBuffer: never }),
} as unknown as Archive;

it("answers as R2 does", async () => {
	const archive = inTime(env.ARCHIVE);
	await archive.put("in-time", utf8("hello"));
	expect(new TextDecoder().decode(await bytesIn(archive, "in-time"))).toBe("hello");
	const [object] = (await archive.list({ prefix: "in-time" })).objects;
	expect(object?.size).toBe(5);
	await archive.delete("in-time");
	expect(await archive.get("in-time")).toBeNull();
});

it("never waits for R2 without an end", async () => {
	vi.useFakeTimers();
	try {
		const archive = inTime(silent);
		const object = { body: body() } as R2ObjectBody;
		const calls = [
			archive.get("key"),
			archive.put("key", ""),
			archive.list(),
			archive.delete("key"),
			piecesOf(object).next(),
		].map((call) => expect(call).rejects.toThrow(ArchiveUnavailable));
		calls.push(expect(bytesIn(inTime(halting), "key")).rejects.toThrow(AuditUnreadable));
		calls.push(expect(bytesIn(archive, "key")).rejects.toThrow(AuditUnreadable));
		await vi.advanceTimersByTimeAsync(30_000);
		await Promise.all(calls);
	} finally {
		vi.useRealTimers();
	}
});
