import { createPublicKey, generateKeyPairSync, verify } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { onFreshGround } from "../../bench/ground.ts";
import type { PeerOptions } from "../../bench/peers/messages.ts";
import { startFastify } from "../../bench/peers/processes.ts";

const { privateKey, publicKey } = generateKeyPairSync("ed25519");
const options: PeerOptions = {
	token: "a token",
	privateKey: privateKey.export({ format: "der", type: "pkcs8" }).toString("base64"),
	audit: false,
	limiter: "memory",
	databaseUrl: "postgres://nobody@127.0.0.1:1/none", // nothing asks it
	redisUrl: null,
};

let port = 0;
const over = Promise.withResolvers<void>();
let ground: Promise<void> | undefined;

beforeAll(async () => {
	const started = Promise.withResolvers<number>();
	ground = onFreshGround(async (found) => {
		started.resolve((await startFastify(found, options)).port);
		await over.promise;
	});
	ground.catch(started.reject);
	port = await started.promise;
});
afterAll(async () => {
	over.resolve();
	await ground;
});

function sign(token: string, body: unknown): Promise<Response> {
	return fetch(`http://127.0.0.1:${port}/sign`, {
		method: "POST",
		headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
		body: JSON.stringify(body),
	});
}

describe("the peer on Fastify", () => {
	const message = Buffer.from("hello");

	test("signs what the same key verifies", async () => {
		const response = await sign(options.token, { message: message.toString("base64") });
		const { signature } = (await response.json()) as { signature: string };
		const key = createPublicKey(publicKey.export({ format: "pem", type: "spki" }));
		expect(verify(null, message, key, Buffer.from(signature, "base64"))).toBe(true);
	});

	test("refuses another token, and a body that has no message", async () => {
		expect((await sign("another", { message: "" })).status).toBe(401);
		expect((await sign(options.token, { text: "" })).status).toBe(400);
	});
});
