import { Hono } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { timingSafeEqual } from "hono/utils/buffer";
import { validator } from "hono/validator";

/**
 * The signer that a team writes by itself: the key and the callers' token are secrets of the worker, the
 * body is looked at, the signature goes back. No second key, no limits, no record.
 */
interface Env {
	readonly TOKEN: string;
	/** PKCS#8, in base64. */
	readonly PRIVATE_KEY: string;
}

const app = new Hono<{ Bindings: Env }>();
app.use(
	"/sign",
	bearerAuth<{ Bindings: Env }>({
		verifyToken: (token, { env }) => timingSafeEqual(token, env.TOKEN),
	}),
);

let opened: CryptoKey | undefined;

const body = validator("json", ({ message }: { message?: unknown }, context) =>
	typeof message === "string" && message.length <= 88_000
		? { message }
		: context.json({ error: "message must be base64" }, 400),
);

app.post("/sign", body, async (context) => {
	opened ??= await open(context.env.PRIVATE_KEY);
	const bytes = Uint8Array.fromBase64(context.req.valid("json").message);
	const signature = await crypto.subtle.sign("Ed25519", opened, bytes);
	return context.json({ signature: new Uint8Array(signature).toBase64() });
});

function open(privateKey: string): Promise<CryptoKey> {
	const bytes = Uint8Array.fromBase64(privateKey);
	return crypto.subtle.importKey("pkcs8", bytes, "Ed25519", false, ["sign"]);
}

export default app;
