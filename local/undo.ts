/** What has been started so far, to be stopped in the opposite order. */
export interface Undo {
	add(stop: () => unknown): void;
	/** Stops everything, even when some of it fails to. May be called twice. */
	run(): Promise<void>;
}

export function createUndo(): Undo {
	const stops: (() => unknown)[] = [];
	let running: Promise<void> | undefined;
	async function all(): Promise<void> {
		const errors: unknown[] = [];
		for (let stop = stops.pop(); stop; stop = stops.pop()) {
			try {
				await stop();
			} catch (error) {
				errors.push(error);
			}
		}
		if (errors.length > 0) throw new AggregateError(errors);
	}
	return {
		add: (stop) => stops.push(stop),
		run() {
			running ??= all();
			return running;
		},
	};
}

/** Like Promise.all, but answers only when nothing is under way any more. */
export async function allSettledOrThrow<T extends readonly unknown[]>(
	promises: readonly [...{ [I in keyof T]: Promise<T[I]> }],
): Promise<T> {
	const results = await Promise.allSettled(promises);
	for (const result of results) if (result.status === "rejected") throw result.reason;
	return results.map((result) =>
		result.status === "fulfilled" ? result.value : undefined,
	) as unknown as T;
}
