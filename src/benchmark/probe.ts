import * as limits from "../limits.ts";

/** A request that the service makes of itself. */
export interface ProbeRequest {
	readonly method: "GET" | "POST";
	readonly path: string;
	readonly headers: Readonly<Record<string, string>>;
	/** JSON; null for none. */
	readonly body: string | null;
}

export interface ProbeAnswer {
	readonly status: number;
	readonly text: string;
}

/**
 * What the worker's entry point `Probe` offers (src/index.ts): requests that go through the routes as
 * those from outside do. A loopback binding alone leads to it, so nobody else can ask it for many.
 */
export interface ProbeRpc {
	answer(request: ProbeRequest): Promise<ProbeAnswer>;
	/** Makes the request `count` times, `atOnce` at the same time; the first refusal, null for none. */
	repeat(request: ProbeRequest, count: number, atOnce: number): Promise<ProbeAnswer | null>;
	heldBytes(): Promise<number>;
}

type Send = () => Promise<Response>;

export async function answerOf(send: Send): Promise<ProbeAnswer> {
	const response = await send();
	return { status: response.status, text: await response.text() };
}

export async function repeat(
	send: Send,
	count: number,
	atOnce: number,
): Promise<ProbeAnswer | null> {
	let left = Math.min(count, limits.benchmarkBurst);
	let refusal: ProbeAnswer | null = null;
	const sendOn = async () => {
		while (left-- > 0 && !refusal) {
			const answer = await answerOf(send);
			if (answer.status >= 400) refusal = answer;
		}
	};
	await Promise.all(Array.from({ length: Math.min(atOnce, limits.benchmarkBurstAtOnce) }, sendOn));
	return refusal;
}
