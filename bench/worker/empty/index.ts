import { Hono } from "hono";
import { fromBase64, toBase64 } from "../../../src/lib/bytes.ts";

/**
 * What the service's routes are measured beside: a route that does nothing, one that reads JSON, and the
 * least that a signature over HTTP can be: no caller, no checks, one key that is there already.
 */
const app = new Hono();
app.get("/", (context) => context.text("ok"));
app.post("/", async (context) => {
	await context.req.json();
	return context.text("ok");
});

let key: CryptoKey | undefined;
app.post("/sign", async (context) => {
	key ??= await newKey();
	const { message } = await context.req.json<{ message: string }>();
	const bytes = fromBase64(message);
	if (!bytes) return context.text("not base64", 400);
	const signature = await crypto.subtle.sign("Ed25519", key, bytes);
	return context.json({ signature: toBase64(new Uint8Array(signature)) });
});

async function newKey(): Promise<CryptoKey> {
	const pair = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
	return (pair as CryptoKeyPair).privateKey;
}

export default app;
