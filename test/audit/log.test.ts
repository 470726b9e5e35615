import { afterEach, describe, expect, it, vi } from "vitest";
import { splitBlock } from "../../src/audit/block.ts";
import {
	type Appended,
	type AuditLogRpc,
	AuditUnavailable,
	createAuditLogs,
} from "../../src/audit/log.ts";
import type { Bytes } from "../../src/lib/bytes.ts";
import * as limits from "../../src/limits.ts";
import { inBackground } from "../support/background.ts";

/** A log whose objects note what they get, and answer what the test says; of an isolate with so many requests. */
function logOf(answer: (appends: Bytes[]) => Promise<Appended>, inFlight = 4) {
	const calls: {
		readonly place: string;
		readonly appends: number[];
		readonly isRepeated: boolean;
	}[] = [];
	const getByName = (place: string): Pick<AuditLogRpc, "append"> => ({
		append(bytes, isRepeated) {
			const appends = splitBlock(bytes);
			calls.push({ place, appends: appends.map(([first = 0]) => first), isRepeated });
			return answer(appends);
		},
	});
	const namespace = { getByName } as unknown as DurableObjectNamespace;
	let late = 0;
	const log = createAuditLogs(namespace, { inFlight }, () => Date.now() + late);
	return { log, calls, pass: (milliseconds: number) => (late += milliseconds) };
}

const appendOf = (first: number, length = 200) => new Uint8Array(length).fill(first);

describe("appends that come at the same time", () => {
	it("go to their object in one call, in their order, and are answered alike", async () => {
		const { log, calls } = logOf(async () => "kept");
		const answers = await Promise.all(
			[1, 2, 3, 4].map((first) =>
				log.append(
					{ place: first === 3 ? "b/weur/0" : "a/weur/0", records: appendOf(first) },
					inBackground,
				),
			),
		);
		expect(answers).toEqual(["kept", "kept", "kept", "kept"]);
		expect(calls).toEqual([
			{ place: "a/weur/0", appends: [1, 2, 4], isRepeated: false },
			{ place: "b/weur/0", appends: [3], isRepeated: false },
		]);
	});

	it("wait for nobody where the isolate has no other request", async () => {
		const { promise, resolve } = Promise.withResolvers<Appended>();
		const { log, calls } = logOf(() => promise, 1);
		const append = (first: number) =>
			log.append({ place: "a/weur/0", records: appendOf(first) }, inBackground);
		const answers = [append(1)];
		await Promise.resolve(); // no timer rings before this
		expect(calls.map(({ appends }) => appends)).toEqual([[1]]);
		answers.push(append(2), append(3));
		resolve("kept");
		expect(await Promise.all(answers)).toEqual(["kept", "kept", "kept"]);
		expect(calls.map(({ appends }) => appends)).toEqual([[1], [2, 3]]);
	});

	it("are more calls when they are more than a block holds", async () => {
		const { log, calls } = logOf(async () => "kept");
		const half = limits.auditBlockBytes / 2;
		await Promise.all(
			[1, 2, 3].map((first) =>
				log.append({ place: "a/weur/0", records: appendOf(first, half) }, inBackground),
			),
		);
		expect(calls.map(({ appends }) => appends)).toEqual([[1, 2], [3]]);
	});

	it("do not wait for a call that is under way", async () => {
		const { promise, resolve } = Promise.withResolvers<Appended>();
		const { log, calls } = logOf(([first]) =>
			first?.[0] === 1 ? promise : Promise.resolve("kept"),
		);
		const slow = log.append({ place: "a/weur/0", records: appendOf(1) }, inBackground);
		await expect.poll(() => calls.length).toBe(1);
		expect(await log.append({ place: "a/weur/0", records: appendOf(2) }, inBackground)).toBe(
			"kept",
		);
		resolve("kept");
		expect(await slow).toBe("kept");
	});

	it("do not join those whose sender was cut off before it sent them", async () => {
		const { log, calls, pass } = logOf(async () => "kept");
		const append = (first: number) =>
			log.append({ place: "a/weur/0", records: appendOf(first) }, inBackground);
		const timer = vi.spyOn(globalThis, "setTimeout").mockReturnValue(0 as never);
		void append(1).catch(() => {}); // no timer of its request rings any more
		timer.mockRestore();
		pass(limits.auditGroupStaleMs + 1);
		expect(await append(2)).toBe("kept");
		expect(calls.map(({ appends }) => appends)).toEqual([[2]]);
	});

	it("are sent by work that the platform is asked to finish, one for each call", async () => {
		const { promise, resolve } = Promise.withResolvers<Appended>();
		const { log } = logOf(() => promise);
		const work: Promise<unknown>[] = [];
		const answers = [1, 2].map((first) =>
			log.append({ place: "a/weur/0", records: appendOf(first) }, (one) => work.push(one)),
		);
		expect(work).toHaveLength(1);
		resolve("kept");
		await Promise.all(work);
		expect(await Promise.all(answers)).toEqual(["kept", "kept"]);
	});

	it("all learn that the object has failed, or is full", async () => {
		for (const answer of [() => Promise.reject(new Error("gone")), async () => "full" as const]) {
			const { log } = logOf(answer);
			const settled = await Promise.allSettled(
				[1, 2].map((first) =>
					log.append({ place: "a/weur/0", records: appendOf(first) }, inBackground),
				),
			);
			for (const one of settled) {
				if (one.status === "fulfilled") expect(one.value).toBe("full");
				else expect(one.reason).toBeInstanceOf(AuditUnavailable);
			}
			expect(new Set(settled.map(({ status }) => status)).size).toBe(1);
		}
	});

	it(
		"do not wait for ever for whoever sends them",
		async () => {
			const { log } = logOf(() => new Promise(() => {}));
			await expect(
				log.append({ place: "a/weur/0", records: appendOf(1) }, inBackground),
			).rejects.toThrow(AuditUnavailable);
		},
		3 * limits.auditTimeoutMs,
	);

	it("that may come again go by themselves", async () => {
		const { log, calls } = logOf(async () => "kept");
		await Promise.all([
			log.appendOnce({ place: "a/weur/0", records: appendOf(1) }),
			log.append({ place: "a/weur/0", records: appendOf(2) }, inBackground),
			log.appendOnce({ place: "a/weur/0", records: appendOf(3) }),
		]);
		expect(calls.map(({ appends, isRepeated }) => [appends, isRepeated])).toEqual([
			[[1], true],
			[[3], true],
			[[2], false],
		]);
	});
});

describe("appends that come while others are on their way", () => {
	afterEach(() => {
		vi.useRealTimers();
	});

	function begin() {
		vi.useFakeTimers();
		const { promise, resolve } = Promise.withResolvers<Appended>();
		const { log, calls } = logOf(() => promise);
		const append = (first: number) =>
			log.append({ place: "a/weur/0", records: appendOf(first) }, inBackground);
		return {
			append,
			written: () => resolve("kept"),
			appended: () => calls.map((one) => one.appends),
		};
	}

	it("go together when those are written", async () => {
		const { append, written, appended } = begin();
		const answers = [append(1)];
		await vi.advanceTimersByTimeAsync(0);
		answers.push(append(2));
		await vi.advanceTimersByTimeAsync(limits.auditGroupMs - 1);
		answers.push(append(3));
		expect(appended()).toEqual([[1]]);
		written();
		expect(await Promise.all(answers)).toEqual(["kept", "kept", "kept"]);
		expect(appended()).toEqual([[1], [2, 3]]);
	});

	it("do not wait for long where those are not heard of", async () => {
		const { append, appended } = begin();
		append(1).catch(() => {});
		await vi.advanceTimersByTimeAsync(0);
		append(2).catch(() => {});
		await vi.advanceTimersByTimeAsync(limits.auditGroupMs);
		expect(appended()).toEqual([[1], [2]]);
	});
});
