/** Leaves the thread to others, for so long, whenever so much was done since. */
export type Pace = (done: number) => Promise<void>;

/** @param restMs how long others have the thread. A clock can not tell when: it stands still while work is done. */
export function createPace(each: number, restMs: number): Pace {
	let since = 0;
	return async (done) => {
		since += done;
		if (since < each) return;
		since = 0;
		await new Promise<void>((resolve) => {
			setTimeout(resolve, restMs);
		});
	};
}
