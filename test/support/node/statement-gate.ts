import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { closeServer, listen, readBody } from "../../../local/gateway.ts";
import { loopback } from "../../../local/ports.ts";

/** A statement that does not come through: as it comes, or with what it did, when it is done. */
export interface Hold {
	/** Resolves, with the time, when the statement is there. */
	readonly reached: Promise<number>;
	/** Lets it go on, whether or not whoever sent it is still alive. */
	release(): void;
}

/** Stands between the worker and the Neon gateway, and holds the statements that a test names. */
export interface StatementGate {
	readonly url: string;
	/** The next statement of that name and tenant. */
	hold(tenant: string, statement: string, when: "before" | "after"): Hold;
	/** From now on each statement waits for so long before it goes on. */
	slowDown(milliseconds: number): void;
	stop(): Promise<void>;
}

interface Held {
	readonly tenant: string;
	readonly statement: string;
	readonly when: "before" | "after";
	readonly reach: (at: number) => void;
	readonly released: Promise<void>;
}

const bodyBytesMax = 1024 * 1024;

/** @param gateway the address of the Neon gateway, once there is one */
export async function startStatementGate(gateway: Promise<string>): Promise<StatementGate> {
	const holds: Held[] = [];
	let slowMs = 0;

	const answer = async (request: IncomingMessage, response: ServerResponse) => {
		const gone = new AbortController();
		response.once("close", () => gone.abort());
		const body = await readBody(request, bodyBytesMax);
		if (slowMs > 0) await sleep(slowMs);
		const index = holds.findIndex((held) => isOf(held, body.toString()));
		const [held] = index < 0 ? [] : holds.splice(index, 1);
		if (held?.when === "before") await reachedAndReleased(held);
		// One that was held is on its way: that its sender is gone can not stop it.
		const reply = await forward(await gateway, request, body, held ? null : gone.signal);
		const json = await reply.text();
		if (held?.when === "after") await reachedAndReleased(held);
		response.writeHead(reply.status, { "content-type": "application/json" }).end(json);
	};

	const server = createServer((request, response) => {
		answer(request, response).catch(() => response.destroy());
	});
	const url = await listen(server, 0, loopback);
	return {
		url,
		hold(tenant, statement, when) {
			const { promise: reached, resolve: reach } = Promise.withResolvers<number>();
			const { promise: released, resolve: release } = Promise.withResolvers<void>();
			holds.push({ tenant, statement, when, reach, released });
			return { reached, release };
		},
		slowDown(milliseconds) {
			slowMs = milliseconds;
		},
		async stop() {
			server.closeAllConnections();
			await closeServer(server);
		},
	};
}

async function reachedAndReleased({ reach, released }: Held): Promise<void> {
	reach(performance.now());
	await released;
}

interface Asked {
	readonly query?: string;
	readonly params?: readonly unknown[];
}

/** The name stands in a comment before the text, the tenant is the first parameter: of one statement, or one of several. */
function isOf({ tenant, statement }: Held, body: string): boolean {
	if (!body.includes(`/* ${statement} */`)) return false;
	const asked = JSON.parse(body) as Asked & { readonly queries?: readonly Asked[] };
	return (asked.queries ?? [asked]).some(
		({ query, params }) => query?.includes(`/* ${statement} */`) && params?.[0] === tenant,
	);
}

function forward(
	gateway: string,
	{ url, headers }: IncomingMessage,
	body: Buffer,
	signal: AbortSignal | null,
): Promise<Response> {
	const own = Object.entries(headers).filter(([name]) => name.startsWith("neon-"));
	return fetch(`${gateway}${url}`, {
		method: "POST",
		headers: own.map(([name, value]): [string, string] => [name, String(value)]),
		body: new Uint8Array(body),
		signal,
	});
}
