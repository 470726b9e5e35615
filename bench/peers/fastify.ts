/**
 * Fastify on Node with node:crypto, as its pages say to write it: a schema for the body, a hook for the
 * token; with a row in Postgres for each signature and a rate limiter from npm where the message asks.
 */
import { createHash, createPrivateKey, sign, timingSafeEqual } from "node:crypto";
import Fastify from "fastify";
import { Redis } from "ioredis";
import { Pool } from "pg";
import {
	type RateLimiterAbstract,
	RateLimiterMemory,
	RateLimiterPostgres,
	RateLimiterRedis,
	RateLimiterRes,
} from "rate-limiter-flexible";
import type { PeerOptions, PeerReady } from "./messages.ts";

const poolSize = 20;
/** Nobody is refused: what is measured is the counting. */
const limit = { points: 1_000_000_000, duration: 60 };

async function serve(options: PeerOptions): Promise<number> {
	const pool = new Pool({ connectionString: options.databaseUrl, max: poolSize });
	const limiter = await limiterOf(options, pool);
	const key = createPrivateKey({
		key: Buffer.from(options.privateKey, "base64"),
		format: "der",
		type: "pkcs8",
	});
	const known = sha256(options.token);
	const app = Fastify();
	app.addHook("onRequest", async (request, reply) => {
		const token = request.headers.authorization?.replace(/^Bearer /, "") ?? "";
		if (!timingSafeEqual(sha256(token), known)) return reply.code(401).send({ error: "token" });
		try {
			await limiter?.consume(options.token);
		} catch (refusal) {
			if (!(refusal instanceof RateLimiterRes)) throw refusal;
			return reply.code(429).send({ error: "too many requests" });
		}
	});
	app.post<{ Body: { message: string } }>("/sign", { schema }, async ({ body }) => {
		const message = Buffer.from(body.message, "base64");
		const signature = sign(null, message, key);
		if (options.audit) await pool.query(insert, ["main", sha256(body.message), signature]);
		return { signature: signature.toString("base64") };
	});
	return Number(new URL(await app.listen({ host: "127.0.0.1", port: 0 })).port);
}

const schema = {
	body: {
		type: "object",
		required: ["message"],
		properties: { message: { type: "string", maxLength: 88_000 } },
	},
	response: { 200: { type: "object", properties: { signature: { type: "string" } } } },
};

const insert = {
	name: "peer-audit",
	text: "insert into peers.audit (token, input, signature) values ($1, $2, $3)",
} as const;

function sha256(text: string): Buffer {
	return createHash("sha256").update(text).digest();
}

async function limiterOf(
	{ limiter, redisUrl }: PeerOptions,
	storeClient: Pool,
): Promise<RateLimiterAbstract | null> {
	if (limiter === null) return null;
	if (limiter === "memory") return new RateLimiterMemory(limit);
	if (limiter === "redis") {
		const client = new Redis(redisUrl ?? "");
		await client.ping(); // tries again until it is up
		return new RateLimiterRedis({ ...limit, storeClient: client });
	}
	return new Promise((resolve, reject) => {
		const made = new RateLimiterPostgres(
			{ ...limit, storeClient, storeType: "pool", schemaName: "peers", tableName: "limits" },
			(error?: Error) => (error ? reject(error) : resolve(made)),
		);
	});
}

process.on("message", async (options: PeerOptions) => {
	const port = await serve(options);
	process.send?.({ port } satisfies PeerReady);
});
process.on("disconnect", () => process.exit(0));
