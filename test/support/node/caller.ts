import { randomBytes } from "node:crypto";
import { Agent, request } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { withDatabase } from "../../../local/database.ts";
import { hashToken, mintToken } from "../../../src/auth/tokens.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { uuidv7 } from "../../../src/lib/uuid.ts";

/** An answer, and when it was asked for and when it was there: of one clock, performance.now(). */
export interface TimedAnswer {
	readonly status: number;
	readonly headers: Readonly<Record<string, string | string[] | undefined>>;
	readonly text: string;
	readonly sentAt: number;
	readonly answeredAt: number;
}

export interface Sending {
	readonly method: string;
	readonly path: string;
	readonly token: string;
	readonly json?: unknown;
	/** With it the same may be sent again, whatever became of the first. */
	readonly idempotencyKey?: string;
	/** Whom the limits of callers who are not signed in count it for. */
	readonly address?: string;
}

/** workerd closes a connection that nobody used for five seconds, and what is sent at that moment is lost. */
const idleMs = 4_000;
const connections = new Agent({ keepAlive: true, timeout: idleMs });

/** One request over a connection that is kept: `fetch` takes several times as long for it. */
export function send(url: string, sending: Sending): Promise<TimedAnswer> {
	const { method, path, token, json, address, idempotencyKey } = sending;
	const body = json === undefined ? "" : JSON.stringify(json);
	const headers = {
		authorization: `Bearer ${token}`,
		"content-type": "application/json",
		"content-length": Buffer.byteLength(body),
		...(address !== undefined && { "cf-connecting-ip": address }),
		...(idempotencyKey !== undefined && { "idempotency-key": idempotencyKey }),
	};
	return new Promise((resolve, reject) => {
		const sentAt = performance.now();
		const outgoing = request(`${url}${path}`, { agent: connections, method, headers }, (answer) => {
			const answeredAt = performance.now();
			let text = "";
			answer.setEncoding("utf8");
			answer.on("data", (chunk) => {
				text += chunk;
			});
			answer.once("error", reject);
			answer.once("end", () => {
				const { statusCode: status = 0, headers } = answer;
				resolve({ status, headers, text, sentAt, answeredAt });
			});
		});
		outgoing.once("error", reject);
		outgoing.end(body);
	});
}

const attempts = 100;
const pauseMs = 100;
/** Nothing was done, because the machine has too much to do: which is not what is tested. */
const notNow = /"code":"(overloaded|audit_unavailable|lease_lapsed)"|without it nothing is allowed/;
const notKnown = /"code":"(unavailable|idempotency_running)"/;

/** The same again while the service puts it off. */
export async function sendPatiently(url: string, sending: Sending): Promise<TimedAnswer> {
	for (let attempt = 1; ; attempt++) {
		const answer = await send(url, sending);
		// One signature more does no harm.
		const mayRepeat = sending.idempotencyKey !== undefined || sending.path.endsWith("/sign");
		const isPutOff = notNow.test(answer.text) || (mayRepeat && notKnown.test(answer.text));
		if (!isPutOff || attempt === attempts) return answer;
		await sleep(pauseMs);
	}
}

/** The parsed answer of something that is done once. @throws on any refusal */
export async function call<Answer>(url: string, sending: Sending): Promise<Answer> {
	const idempotencyKey = randomBytes(12).toString("hex");
	const { status, text } = await sendPatiently(url, { ...sending, idempotencyKey });
	if (status >= 300) throw new Error(`${sending.method} ${sending.path}: ${status} ${text}`);
	return JSON.parse(text) as Answer;
}

/** A tenant, its admin's token, and the address that its requests come from. */
export interface NewTenant {
	readonly id: string;
	readonly token: string;
	readonly address: string;
}

/** Many tenants at once, straight into the database. */
export async function newTenants(databaseUrl: string, count: number): Promise<NewTenant[]> {
	const tenants = Array.from({ length: count }, (_, index): NewTenant => {
		const id = `t-${randomBytes(8).toString("hex")}`;
		const address = `198.18.${index >> 8}.${index & 255}`; // RFC 2544: for tests
		return { id, token: mintToken(id, systemRandom), address };
	});
	await withDatabase(databaseUrl, (client) =>
		client.query(
			`with new as (
				select * from unnest($1::text[], $2::uuid[], $3::text[]) as new (tenant, token, hash)
			), made as (
				insert into tenants (id) select tenant from new
			)
			insert into tokens (tenant_id, id, name, role, secret_hash)
			select tenant, token, 'test', 'admin', decode(hash, 'hex') from new`,
			[
				tenants.map(({ id }) => id),
				tenants.map(() => uuidv7(systemClock, systemRandom)),
				tenants.map(({ token }) => hashToken(token)),
			],
		),
	);
	return tenants;
}
