import { describe, expect, it, vi } from "vitest";
import { Semaphore, type SemaphoreBounds } from "../../src/lib/semaphore.ts";
import { sleep } from "../../src/lib/sleep.ts";

const make = (bounds: Partial<SemaphoreBounds> = {}) =>
	new Semaphore({ permits: 2, holdMs: 60_000, waitMs: 60_000, checkMs: 50, ...bounds }, () =>
		Date.now(),
	);
const never = () => new Promise<never>(() => {});

describe("a semaphore", () => {
	it("lets so many work at once, in the order of their coming", async () => {
		const semaphore = make();
		const begun: number[] = [];
		let working = 0;
		let most = 0;
		const numbers = Array.from({ length: 20 }, (_, number) => number);
		const answers = await Promise.all(
			numbers.map((number) =>
				semaphore.run(async () => {
					begun.push(number);
					most = Math.max(most, ++working);
					await sleep(1);
					working--;
					return number;
				}),
			),
		);
		expect(answers).toEqual(numbers);
		expect(begun).toEqual(numbers);
		expect(most).toBe(2);
	});

	it("begins at once where nobody works", async () => {
		let hasBegun = false;
		void make().run(async () => {
			hasBegun = true;
			await never();
		});
		await Promise.resolve();
		expect(hasBegun).toBe(true);
	});

	it("has its permit back from work that failed", async () => {
		const semaphore = make({ permits: 1 });
		const failed = semaphore.run(() => Promise.reject(new Error("no")));
		await expect(failed).rejects.toThrow("no");
		expect(await semaphore.run(async () => "next")).toBe("next");
	});

	it("tells who waits for too long, and does not begin their work", async () => {
		const semaphore = make({ permits: 1, waitMs: 20 });
		void semaphore.run(never);
		const work = vi.fn(never);
		expect(await semaphore.run(work)).toBeNull();
		expect(work).not.toHaveBeenCalled();
	});

	it("lets the next one begin when a permit does not come back", async () => {
		const semaphore = make({ permits: 2, holdMs: 60 });
		void semaphore.run(never);
		void semaphore.run(never);
		expect(await semaphore.run(async () => "next")).toBe("next");
	});

	it("sends who works for long behind those that wait, and then lets it go on", async () => {
		const semaphore = make({ permits: 1, holdMs: 20 });
		const order: string[] = [];
		const long = semaphore.run(async (pause) => {
			await pause(); // nobody waits, and it is not long yet
			order.push("long begins");
			await sleep(40);
			await pause();
			order.push("long goes on");
		});
		const short = semaphore.run(async () => order.push("short"));
		await Promise.all([long, short]);
		expect(order).toEqual(["long begins", "short", "long goes on"]);
	});

	it("leaves a permit to work that shows life, however long it takes, while nobody waits for it", async () => {
		const semaphore = make({ permits: 1, holdMs: 40 });
		let hasBegun = false;
		let next: Promise<unknown> = Promise.resolve();
		await semaphore.run(async (pause) => {
			for (let part = 0; part < 10; part++) {
				await sleep(10);
				await pause();
			}
			next = semaphore.run(async () => {
				hasBegun = true;
			});
			expect(hasBegun).toBe(false);
		});
		await next;
		expect(hasBegun).toBe(true);
	});

	it("passes over who does not wait any more", async () => {
		const semaphore = make({ permits: 1 });
		const first = Promise.withResolvers<void>();
		const working = semaphore.run(() => first.promise);
		// A request that hung up: its timers do not ring any more.
		const timers = vi.spyOn(globalThis, "setTimeout").mockImplementation(() => 0 as never);
		const gone = vi.fn(never);
		void semaphore.run(gone);
		timers.mockRestore();
		const next = semaphore.run(async () => "next");
		await sleep(150);
		first.resolve();
		await working;
		expect(await next).toBe("next");
		expect(gone).not.toHaveBeenCalled();
	});
});
