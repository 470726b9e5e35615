/** Leaves the thread to others, for so long, whenever so much was done since. */
export type Pace = (done: number) => Promise<void>;

/**
 * @param each how much is done in one go; a clock can not tell, because it stands still while work is done
 * @param restMs how long others then have the thread, if there are any
 * @param begun how many requests of others have begun so far
 */
export function createPace(each: number, restMs: number, begun: () => number): Pace {
	let since = 0;
	let seen = begun();
	return async (done) => {
		since += done;
		if (since < each) return;
		since = 0;
		const isAlone = begun() === seen;
		seen = begun();
		await new Promise<void>((resolve) => {
			setTimeout(resolve, isAlone ? 0 : restMs);
		});
	};
}
