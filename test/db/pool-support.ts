import { Pool, type PoolBounds, type PoolConnection } from "../../src/db/pool.ts";
import type { PoolFigures } from "../../src/db/pool-figures.ts";

/** A clock that goes on when it is told to, and the timers that ring then. */
class FakeTime {
	now = 1_000;
	readonly #timers = new Set<{ readonly at: number; readonly work: () => void }>();

	readonly clock = () => this.now;
	readonly after = (milliseconds: number, work: () => void) => {
		const timer = { at: this.now + milliseconds, work };
		this.#timers.add(timer);
		return () => void this.#timers.delete(timer);
	};

	get timers(): number {
		return this.#timers.size;
	}

	/** Timers ring in their order, and what each sets off is done before the next one. */
	async advance(milliseconds: number): Promise<void> {
		const end = this.now + milliseconds;
		await settle();
		for (;;) {
			const [next] = [...this.#timers].sort((a, b) => a.at - b.at);
			if (!next || next.at > end) break;
			this.#timers.delete(next);
			this.now = Math.max(this.now, next.at);
			next.work();
			await settle();
		}
		this.now = end;
	}
}

/** Lets everything happen that waits for nothing but its turn. */
export async function settle(): Promise<void> {
	for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

export class FakeConnection implements PoolConnection {
	isOpen = true;
	checks = 0;
	isWell: () => Promise<boolean> = async () => true;
	readonly #closed: () => void;
	readonly id: number;

	constructor(id: number, closed: () => void) {
		this.id = id;
		this.#closed = closed;
	}

	async check(): Promise<void> {
		this.checks++;
		if (!(await this.isWell())) throw new Error("no answer");
	}

	close(): void {
		if (this.isOpen) this.#closed();
		this.isOpen = false;
	}
}

export const testBounds: PoolBounds = {
	size: 3,
	overflow: 2,
	overflowAfterMs: 50,
	openingAtOnce: 4,
	waitersMax: 1_000,
	acquireTimeoutMs: 5_000,
	checkAfterMs: 1_000,
	idleMs: 10_000,
	leakMs: 20_000,
	retryMs: 100,
	retryMsMax: 1_600,
};

/** A pool of fake connections, and what became of them. */
export function fakePool(bounds: Partial<PoolBounds> = {}) {
	const time = new FakeTime();
	const world = {
		time,
		opened: [] as FakeConnection[],
		open: 0,
		mostOpen: 0,
		leaks: [] as string[],
		rests: [] as PoolFigures[],
		/** Times at which a connection was asked for. */
		tries: [] as number[],
		/** What connecting does; resolves to nothing by default. */
		onConnect: async (): Promise<void> => {},
	};
	const pool = new Pool<FakeConnection>({
		async connect() {
			world.tries.push(time.now);
			await world.onConnect();
			world.open++;
			world.mostOpen = Math.max(world.mostOpen, world.open);
			const connection = new FakeConnection(world.opened.length, () => world.open--);
			world.opened.push(connection);
			return connection;
		},
		isPassing: (error) => error instanceof Error && error.message !== "wrong password",
		bounds: { ...testBounds, ...bounds },
		clock: time.clock,
		random: () => new Uint8Array([128]),
		after: time.after,
		onLeak: (borrower, milliseconds) => world.leaks.push(`${borrower} ${milliseconds}`),
		onRest: (figures) => world.rests.push(figures),
	});
	return { pool, ...world, world };
}
