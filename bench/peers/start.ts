import { generateKeyPairSync, randomBytes } from "node:crypto";
import { join } from "node:path";
import { withDatabase } from "../../local/database.ts";
import { type HttpBench, prepareRequest, sampleMessage } from "../service.ts";
import { type Server, startWorker } from "../workers.ts";
import type { PeerOptions } from "./messages.ts";
import { startFastify, startRedis } from "./processes.ts";

/** Who answers a sign request, and the request. */
export interface Peer {
	readonly name: string;
	readonly server: Server;
	readonly request: string;
}

const honoConfig = join(import.meta.dirname, "hono", "wrangler.toml");
const limiters = ["memory", "redis", "postgres"] as const;

/** All that the machine can run: without a redis-server, not those that count there. */
export async function startPeers({ ground, databaseUrl, empty }: HttpBench): Promise<Peer[]> {
	await makeTables(databaseUrl);
	const redisUrl = await startRedis(ground);
	const token = randomBytes(24).toString("base64url");
	const privateKey = newPrivateKey();
	const request = prepareRequest("POST", "/sign", { message: sampleMessage }, token);
	const vars = { TOKEN: token, PRIVATE_KEY: privateKey };
	const peers: Peer[] = [
		{ name: "empty route", server: empty, request: prepareRequest("GET", "/") },
		{ name: "hono", server: await startWorker(ground, "hono", honoConfig, vars), request },
	];
	const add = async (name: string, audit: boolean, limiter: PeerOptions["limiter"]) => {
		const options = { token, privateKey, audit, limiter, databaseUrl, redisUrl };
		peers.push({ name, server: await startFastify(ground, options), request });
	};
	await add("fastify", false, null);
	await add("fastify, audit", true, null);
	for (const place of limiters) {
		if (place === "redis" && redisUrl === null) continue;
		await add(`fastify, limiter ${place}`, false, place);
	}
	await add("fastify, audit, limiter", true, redisUrl === null ? "postgres" : "redis");
	return peers;
}

function newPrivateKey(): string {
	const { privateKey } = generateKeyPairSync("ed25519");
	return privateKey.export({ format: "der", type: "pkcs8" }).toString("base64");
}

async function makeTables(databaseUrl: string): Promise<void> {
	await withDatabase(databaseUrl, (client) =>
		client.query(`
			create schema peers;
			create table peers.audit (
				id bigint generated always as identity primary key,
				at timestamptz not null default now(),
				token text not null,
				input bytea not null,
				signature bytea not null
			);
			create index on peers.audit (token, at);
		`),
	);
}
