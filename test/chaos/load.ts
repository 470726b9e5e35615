import { createHash, randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { seeded } from "../support/node/simulation.ts";

const callers = 12;
const timeoutMs = 10_000;
const attempts = 150;
const pauseMs = 200;
const batchMost = 20;
const key = "chaos";

export interface Load {
	/** SHA-256, hexadecimal, of every signature that a caller was given. */
	readonly signatures: string[];
	/** Ids of keys whose creation was answered. */
	readonly keys: string[];
	/** Answers by status; 0 for none. */
	readonly answers: Map<number, number>;
	/** Signs once more, and repeats it until that is answered: what it was given. */
	signLast(): Promise<string>;
	/** Begins nothing more, and lets requests under a key be repeated for so long. */
	stop(patienceMs: number): Promise<void>;
}

interface Answer {
	readonly id?: string;
	readonly signature?: string;
	readonly results?: { readonly signature: string }[];
}

/** Callers at every location who sign, one by one and in batches, and sometimes make or rotate a key. */
export async function startLoad(
	urls: readonly string[],
	token: string,
	seed: number,
): Promise<Load> {
	const ledger = { signatures: [] as string[], keys: [] as string[] };
	const answers = new Map<number, number>();
	let goesOn = true;
	let givenUp = new AbortController();

	async function ask(edge: number, path: string, json: unknown, idempotencyKey?: string) {
		const response = await fetch(`${urls[edge % urls.length]}${path}`, {
			method: "POST",
			headers: {
				authorization: `Bearer ${token}`,
				"content-type": "application/json",
				...(idempotencyKey && { "idempotency-key": idempotencyKey }),
			},
			body: JSON.stringify(json),
			signal: AbortSignal.any([AbortSignal.timeout(timeoutMs), givenUp.signal]),
		});
		return { status: response.status, answer: (await response.json()) as Answer };
	}

	/** Under a key it is repeated, at another location each time, until it is answered. */
	async function perform(edge: number, path: string, json: unknown, isKeyed: boolean) {
		const idempotencyKey = isKeyed ? randomUUID() : undefined;
		for (let attempt = 0; attempt < (isKeyed ? attempts : 1); attempt++) {
			const got = await ask(edge + attempt, path, json, idempotencyKey).catch(() => null);
			if (givenUp.signal.aborted) break;
			answers.set(got?.status ?? 0, (answers.get(got?.status ?? 0) ?? 0) + 1);
			if (got && got.status < 300) return got.answer;
			await sleep(pauseMs);
		}
		return null;
	}

	async function sign(edge: number, path: string, json: unknown, isKeyed: boolean) {
		const answer = await perform(edge, `/v1/keys/${key}/${path}`, json, isKeyed);
		const given = answer?.results ?? (answer?.signature ? [{ signature: answer.signature }] : []);
		const digests = given.map(({ signature }) => sha256(Buffer.from(signature, "base64")));
		ledger.signatures.push(...digests);
		return digests;
	}

	async function call(caller: number): Promise<void> {
		const draw = seeded(seed * 1_000 + caller);
		for (let count = 0; goesOn; count++) {
			const isKeyed = draw() < 0.5;
			const messages = Array.from({ length: 1 + Math.floor(draw() * batchMost) }, (_, item) => ({
				message: btoa(`${seed} ${caller} ${count} ${item}`),
			}));
			const kind = draw();
			if (kind < 0.003) {
				const json = { name: `made-${caller}-${count}`, algorithm: "Ed25519" };
				const made = await perform(caller, "/v1/keys", json, isKeyed);
				if (made?.id) ledger.keys.push(made.id);
			} else if (kind < 0.006) {
				await perform(caller, `/v1/keys/${key}/rotate`, undefined, isKeyed);
			} else if (kind < 0.5) {
				await sign(caller, "sign", messages[0], isKeyed);
			} else await sign(caller, "sign-batch", { items: messages }, isKeyed);
		}
	}

	await perform(0, "/v1/keys", { name: key, algorithm: "ES256" }, true);
	const calling = Promise.all(Array.from({ length: callers }, (_, caller) => call(caller)));
	return {
		...ledger,
		answers,
		async signLast() {
			const [digest] = await sign(0, "sign", { message: btoa(`${seed} the last one`) }, true);
			if (!digest) throw new Error("nothing is signed any more");
			return digest;
		},
		async stop(patienceMs) {
			goesOn = false;
			const late = sleep(patienceMs, undefined, { ref: false });
			await Promise.race([calling, late]);
			givenUp.abort();
			await calling;
			givenUp = new AbortController(); // for the last one
		},
	};
}

function sha256(bytes: Uint8Array): string {
	return createHash("sha256").update(bytes).digest("hex");
}
