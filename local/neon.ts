import type { IncomingMessage } from "node:http";
import {
	type Answer,
	BodyTooLarge,
	closeServer,
	gatewayServer,
	listen,
	readBody,
} from "./gateway.ts";
import { errorBody } from "./neon-answers.ts";
import { addressOf, createPools, type Pools } from "./neon-pools.ts";
import { answerSql } from "./neon-sql.ts";
import { createTunnels, refuseUpgrade } from "./neon-tunnel.ts";
import { loopback } from "./ports.ts";

const bodyBytesMax = 64 * 1024 * 1024; // Neon: max_request_size_bytes
const statementTimeoutMsDefault = 60_000;

export interface NeonGatewayOptions {
	/** The real server. Only its host and port count: users and passwords come from the callers. */
	readonly databaseUrl: string;
	/** Any free port when it is left out. */
	readonly port?: number;
	/** 127.0.0.1 when it is left out. */
	readonly host?: string;
	/** PostgreSQL's statement_timeout for the HTTP form, where the role has none; 60 s by default. */
	readonly statementTimeoutMs?: number;
}

export interface NeonGateway {
	/** `http://host:port`: the HTTP form is at `/sql`, the WebSocket form at `/v2`. */
	readonly url: string;
	/** Lets requests under way end, for a few seconds, and closes every connection. */
	stop(): Promise<void>;
}

/**
 * Stands in for Neon's proxy in front of a PostgreSQL of one's own, so that
 * `@neondatabase/serverless` works with it unchanged. For that the driver needs
 * `fetchEndpoint` = url + "/sql", `wsProxy` = host:port + "/v2", `useSecureWebSocket` = false
 * and `pipelineConnect` = false (SCRAM takes the turns that cleartext passwords do not).
 */
export async function startNeonGateway(options: NeonGatewayOptions): Promise<NeonGateway> {
	const address = addressOf(options.databaseUrl);
	const pools = createPools(address, options.statementTimeoutMs ?? statementTimeoutMsDefault);
	const tunnels = createTunnels(address);
	const server = gatewayServer((request, signal) => answer(pools, request, signal));
	server.on("upgrade", (request, socket, head) => {
		if (pathOf(request) === "/v2") tunnels.open(request, socket, head);
		else refuseUpgrade(socket, "404 Not Found");
	});
	const url = await listen(server, options.port ?? 0, options.host ?? loopback);
	return {
		url,
		async stop() {
			tunnels.stop();
			await closeServer(server);
			await pools.end();
		},
	};
}

function pathOf(request: IncomingMessage): string {
	return request.url?.split("?", 1)[0] ?? "";
}

async function answer(
	pools: Pools,
	request: IncomingMessage,
	signal: AbortSignal,
): Promise<Answer> {
	if (pathOf(request) !== "/sql") return refuse(404, "there is nothing at this path");
	if (request.method !== "POST") return refuse(405, "/sql takes POST");
	try {
		const body = await readBody(request, bodyBytesMax);
		return await answerSql(pools, request.headers, body, signal);
	} catch (error) {
		if (!(error instanceof BodyTooLarge)) return { status: 400, body: errorBody(error) };
		return refuse(413, `request is too large (max is ${bodyBytesMax} bytes)`);
	}
}

function refuse(status: number, message: string): Answer {
	return { status, body: errorBody(undefined, message) };
}
