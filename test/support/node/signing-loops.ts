import { setTimeout as sleep } from "node:timers/promises";
import { type Sending, send, type TimedAnswer } from "./caller.ts";

/** One answer of a location to the request that it is asked again and again. */
export interface Sighting {
	readonly edge: number;
	readonly sentAt: number;
	readonly answeredAt: number;
	/** Signed, and with what the change takes away. */
	readonly isOld: boolean;
}

export interface SigningLoops {
	readonly seen: readonly Sighting[];
	/** Resolves when every location has signed. */
	warm(): Promise<void>;
	/** Resolves when the last answer is there. */
	stop(): Promise<void>;
}

export interface SigningLoopsOptions {
	readonly urls: readonly string[];
	readonly loopsPerEdge: number;
	readonly request: Sending;
	readonly isOld: (answer: TimedAnswer) => boolean;
	/** The longest pause after an answer; pauses are drawn, so that no beat arises. */
	readonly pauseMs: number;
}

const pollMs = 10;

/** Signs at every location at once, and writes down what came of it. */
export function signInLoops(options: SigningLoopsOptions): SigningLoops {
	const { urls, loopsPerEdge, request, isOld, pauseMs } = options;
	const seen: Sighting[] = [];
	let over = false;
	const loop = async (edge: number, url: string) => {
		while (!over) {
			// None where a process was killed that the connection ended in.
			const answer = await send(url, request).catch(() => null);
			if (answer) {
				const { sentAt, answeredAt } = answer;
				seen.push({ edge, sentAt, answeredAt, isOld: isOld(answer) });
			}
			await sleep(Math.random() * pauseMs);
		}
	};
	const loops = urls.flatMap((url, edge) =>
		Array.from({ length: loopsPerEdge }, () => loop(edge, url)),
	);
	return {
		seen,
		async warm() {
			while (urls.some((_, edge) => !seen.some((one) => one.edge === edge && one.isOld))) {
				await sleep(pollMs);
			}
		},
		async stop() {
			over = true;
			await Promise.all(loops);
		},
	};
}
