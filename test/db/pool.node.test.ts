import { describe, expect, it } from "vitest";
import type { Loan } from "../../src/db/pool.ts";
import { seeded } from "../support/node/simulation.ts";
import { type FakeConnection, fakePool, settle, testBounds } from "./pool-support.ts";

type Borrowed = Loan<FakeConnection>;

/** Asks for `count` connections at once; those that were lent, in the order of their lending. */
function askMany(pool: ReturnType<typeof fakePool>["pool"], count: number) {
	const lent: { readonly asker: number; readonly loan: Borrowed }[] = [];
	const failed: { readonly asker: number; readonly error: Error }[] = [];
	for (let asker = 0; asker < count; asker++) {
		pool.acquire(`asker ${asker}`).then(
			(loan) => lent.push({ asker, loan }),
			(error) => failed.push({ asker, error }),
		);
	}
	return { lent, failed };
}

describe("a pool", () => {
	it("opens a connection for who needs one, and lends it again", async () => {
		const { pool, opened } = fakePool();
		const first = await pool.acquire("a");
		first.giveBack();
		const second = await pool.acquire("b");
		expect(second.connection).toBe(first.connection);
		expect(opened).toHaveLength(1);
	});

	it("lends no connection to two, even when one is given back twice", async () => {
		const { pool } = fakePool();
		const first = await pool.acquire("a");
		first.giveBack();
		const second = await pool.acquire("b");
		first.giveBack();
		const third = await pool.acquire("c");
		expect(third.connection).not.toBe(second.connection);
		expect(pool.figures()).toMatchObject({ inUse: 2, idle: 0 });
	});

	it("goes over its size when none comes back and somebody waits, and closes what is over later", async () => {
		const { pool, world, time } = fakePool();
		const { lent } = askMany(pool, 10);
		await time.advance(testBounds.overflowAfterMs - 1);
		expect(world.open).toBe(3);
		await time.advance(1);
		expect(world.open).toBe(5);
		expect(pool.figures()).toMatchObject({ inUse: 5, waiting: 5, overflow: 2 });
		for (const { loan } of lent.splice(0)) loan.giveBack();
		await settle();
		expect(pool.figures()).toMatchObject({ inUse: 5, waiting: 0 });
		for (const { loan } of lent) loan.giveBack();
		expect(world.open).toBe(3);
		expect(pool.figures()).toMatchObject({ inUse: 0, idle: 3, overflow: 0 });
	});

	it("stays at its size while connections come back, however long somebody waits", async () => {
		const { pool, world, time } = fakePool();
		const { lent } = askMany(pool, 30);
		for (let round = 0; round < 20; round++) {
			await time.advance(testBounds.overflowAfterMs - 1);
			lent.shift()?.loan.giveBack();
		}
		expect([world.open, pool.figures().waiting]).toEqual([3, 7]);
	});

	it("opens only some connections at the same time, and lends each as it is there", async () => {
		const { pool, world } = fakePool({ size: 20, openingAtOnce: 4 });
		const connecting: (() => void)[] = [];
		world.onConnect = () => new Promise((done) => void connecting.push(done));
		const { lent } = askMany(pool, 9);
		expect(connecting).toHaveLength(4);
		connecting.shift()?.();
		await settle();
		expect([lent.length, connecting.length]).toEqual([1, 4]);
	});

	it("serves who comes later after who waits, also when a connection is just free", async () => {
		const { pool } = fakePool({ size: 1, overflow: 0 });
		const loan = await pool.acquire("holder");
		const { lent } = askMany(pool, 2);
		loan.giveBack();
		const late = pool.acquire("late");
		await settle();
		lent[0]?.loan.giveBack();
		await settle();
		lent[1]?.loan.giveBack();
		(await late).giveBack();
		expect(lent.map(({ asker }) => asker)).toEqual([0, 1]);
	});

	it("gives up who waits for too long, and whoever is behind gets the connection", async () => {
		const { pool, time } = fakePool({ size: 1, overflow: 0 });
		const loan = await pool.acquire("holder");
		const early = pool.acquire("early").catch((error: Error) => error);
		await time.advance(1_000);
		const later = pool.acquire("later");
		await time.advance(4_000);
		expect(await early).toMatchObject({
			name: "PoolUnavailable",
			message: "no connection for early in 5000 ms",
		});
		loan.giveBack();
		expect((await later).connection).toBe(loan.connection);
		expect(pool.figures()).toMatchObject({ timeouts: 1, waiting: 0, inUse: 1 });
	});

	it("refuses at once when too many wait", async () => {
		const { pool } = fakePool({ size: 1, overflow: 0, waitersMax: 2 });
		await pool.acquire("holder");
		const { failed } = askMany(pool, 3);
		await settle();
		expect(failed.map(({ asker }) => asker)).toEqual([2]);
		expect(pool.figures()).toMatchObject({ refused: 1, waiting: 2 });
	});

	it("names who keeps a connection for too long, once", async () => {
		const { pool, world, time } = fakePool();
		const kept = await pool.acquire("keys.list");
		(await pool.acquire("well behaved")).giveBack();
		await time.advance(3 * testBounds.leakMs);
		expect(world.leaks).toEqual(["keys.list 20000"]);
		expect(pool.figures()).toMatchObject({ leaks: 1, inUse: 1 });
		kept.giveBack();
		expect(pool.figures()).toMatchObject({ inUse: 0 });
	});

	it("closes what is idle, tells what it did, and has no timer then", async () => {
		const { pool, world, time } = fakePool();
		const { lent } = askMany(pool, 3);
		await settle();
		for (const { loan } of lent) loan.giveBack();
		expect(time.timers).toBe(1);
		await time.advance(testBounds.idleMs);
		expect(world.open).toBe(0);
		expect(time.timers).toBe(0);
		expect(world.rests).toMatchObject([{ acquired: 3, opened: 3, closed: 3, idle: 0, inUse: 0 }]);
	});

	it("lets connections grow old that are not needed, and keeps the one that is", async () => {
		const { pool, world, time } = fakePool();
		const { lent } = askMany(pool, 3);
		await settle();
		for (const { loan } of lent) loan.giveBack();
		for (let second = 0; second < 15; second++) {
			await time.advance(900);
			(await pool.acquire("now and then")).giveBack();
		}
		expect(world.open).toBe(1);
	});

	it("counts how long it took to get a connection", async () => {
		const { pool, time } = fakePool({ size: 1, overflow: 0 });
		const loan = await pool.acquire("a");
		const second = pool.acquire("b");
		await time.advance(30);
		loan.giveBack();
		await second;
		expect(pool.figures()).toMatchObject({
			acquired: 2,
			acquireMs: 30,
			slowestAcquireMs: 30,
			acquiredWithin: [1, 0, 0, 1, 0, 0, 0],
		});
	});

	it("refuses who waits when it is closed, and closes what comes back", async () => {
		const { pool, world } = fakePool({ size: 1, overflow: 0 });
		const loan = await pool.acquire("a");
		const waiting = pool.acquire("b");
		pool.close();
		await expect(waiting).rejects.toThrow("the pool is closed");
		await expect(pool.acquire("c")).rejects.toThrow("the pool is closed");
		loan.giveBack();
		expect(world.open).toBe(0);
	});
});

describe("an idle connection", () => {
	it("is lent as it is when it was used a moment ago", async () => {
		const { pool, opened, time } = fakePool();
		(await pool.acquire("a")).giveBack();
		await time.advance(testBounds.checkAfterMs - 1);
		await pool.acquire("b");
		expect(opened.map(({ checks }) => checks)).toEqual([0]);
	});

	it("is asked first when it was idle for long", async () => {
		const { pool, opened, time } = fakePool();
		(await pool.acquire("a")).giveBack();
		await time.advance(testBounds.checkAfterMs);
		const loan = await pool.acquire("b");
		expect(loan.connection.checks).toBe(1);
		expect(opened).toHaveLength(1);
	});

	it("is asked only where somebody waits for it, and none is opened in its place meanwhile", async () => {
		const { pool, world, opened, time } = fakePool();
		const { lent } = askMany(pool, 3);
		await settle();
		const answers: ((isWell: boolean) => void)[] = [];
		for (const { loan } of lent.splice(0)) {
			loan.connection.isWell = () => new Promise((answer) => void answers.push(answer));
			loan.giveBack();
		}
		await time.advance(testBounds.checkAfterMs);
		askMany(pool, 1);
		expect(opened.map(({ checks }) => checks)).toEqual([0, 0, 1]);
		askMany(pool, 4);
		await time.advance(3 * testBounds.overflowAfterMs);
		expect([answers.length, world.open]).toEqual([3, 3]);
	});

	it("that does not answer is closed, and another one is opened in its place", async () => {
		const { pool, world, time } = fakePool();
		const loan = await pool.acquire("a");
		loan.connection.isWell = async () => false;
		loan.giveBack();
		await time.advance(testBounds.checkAfterMs);
		const second = await pool.acquire("b");
		expect(second.connection).not.toBe(loan.connection);
		expect(world.open).toBe(1);
	});

	it("that the other end closed is not lent", async () => {
		const { pool } = fakePool();
		const loan = await pool.acquire("a");
		loan.giveBack();
		loan.connection.isOpen = false;
		expect((await pool.acquire("b")).connection).not.toBe(loan.connection);
		expect(pool.figures()).toMatchObject({ inUse: 1, closed: 1, opened: 2 });
	});
});

describe("when no connection can be opened", () => {
	const refused = async () => {
		throw new Error("connection refused");
	};

	it("one is tried at a time, after longer and longer pauses, until the waiter's time is over", async () => {
		const { pool, world, time } = fakePool();
		world.onConnect = refused;
		const { failed } = askMany(pool, 500);
		await time.advance(testBounds.acquireTimeoutMs);
		expect(failed).toHaveLength(500);
		expect(failed[0]?.error.cause).toMatchObject({ message: "connection refused" });
		const [first = 0, ...later] = world.tries.slice(2); // three were tried at once
		const pauses = later.map((at, index) => at - (later[index - 1] ?? first));
		expect(pauses).toEqual([75, 150, 300, 600, 1_200, 1_200, 1_200]);
	});

	it("all are served when it is possible again", async () => {
		const { pool, world, time } = fakePool();
		world.onConnect = refused;
		const { lent, failed } = askMany(pool, 5);
		await time.advance(1_000);
		world.onConnect = async () => {};
		await time.advance(2_000);
		expect([lent.length, failed.length]).toEqual([5, 0]);
	});

	it("nobody waits for what another try does not change", async () => {
		const { pool, world } = fakePool();
		world.onConnect = async () => {
			throw new Error("wrong password");
		};
		await expect(pool.acquire("a")).rejects.toThrow("wrong password");
		expect(world.tries).toHaveLength(1);
	});

	it("those that are open go on", async () => {
		const { pool, world } = fakePool();
		let loan = await pool.acquire("first");
		world.onConnect = refused;
		for (let i = 0; i < 20; i++) {
			const next = pool.acquire(`${i}`);
			loan.giveBack();
			loan = await next;
		}
		expect(world.open).toBe(1);
	});
});

describe("saturation", () => {
	it("500 wait: none is lost, none is served twice, and they are served in their order", async () => {
		const { pool, world, time } = fakePool({ size: 20, overflow: 30 });
		const draw = seeded(20);
		const served: number[] = [];
		const askers = Array.from({ length: 500 }, async (_, asker) => {
			const loan = await pool.acquire(`asker ${asker}`);
			served.push(asker);
			expect(inHand.has(loan.connection)).toBe(false);
			inHand.add(loan.connection);
			// The first ones take long, which is what the pool has its overflow for.
			const milliseconds = asker < 60 ? 600 : 5 + Math.floor(draw() * 40);
			await new Promise<void>((done) => void time.after(milliseconds, done));
			inHand.delete(loan.connection);
			loan.giveBack();
		});
		const inHand = new Set<FakeConnection>();
		await time.advance(2_000);
		await Promise.all(askers);
		expect(served).toEqual(Array.from({ length: 500 }, (_, asker) => asker));
		expect(world.mostOpen).toBe(50);
		expect(pool.figures()).toMatchObject({ acquired: 500, timeouts: 0, inUse: 0, waiting: 0 });
	});

	it.each([1, 2, 3, 4, 5])(
		"whatever breaks meanwhile, nobody is forgotten (seed %i)",
		async (seed) => {
			const { pool, world, time } = fakePool({ acquireTimeoutMs: 800 });
			const draw = seeded(seed);
			world.onConnect = async () => {
				if (draw() < 0.4) throw new Error("connection refused");
			};
			let served = 0;
			let refused = 0;
			const inHand = new Set<FakeConnection>();
			const pause = (milliseconds: number) =>
				new Promise<void>((done) => void time.after(milliseconds, done));
			const askers = Array.from({ length: 300 }, async (_, asker) => {
				await pause(Math.floor(draw() * 3_000));
				const loan = await pool.acquire(`asker ${asker}`).catch(() => null);
				if (!loan) return void refused++;
				served++;
				expect(inHand.has(loan.connection)).toBe(false);
				inHand.add(loan.connection);
				await pause(Math.floor(draw() * 60));
				inHand.delete(loan.connection);
				if (draw() < 0.1) loan.connection.close();
				loan.connection.isWell = async () => draw() < 0.8;
				loan.giveBack();
			});
			await time.advance(10_000 + testBounds.idleMs);
			await Promise.all(askers);
			expect(served + refused).toBe(300);
			expect(served).toBeGreaterThan(0);
			expect(pool.figures()).toMatchObject({ inUse: 0, waiting: 0, idle: 0 });
			expect([world.open, time.timers]).toEqual([0, 0]);
			expect(world.mostOpen).toBeLessThanOrEqual(testBounds.size + testBounds.overflow);
		},
	);
});
