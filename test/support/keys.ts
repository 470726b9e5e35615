import { expect } from "vitest";
import { toBase64, utf8 } from "../../src/lib/bytes.ts";
import type { AlgorithmName } from "../../src/model.ts";
import { ownerSql, type Tenant } from "./tenant.ts";

/** "hello" in base64. */
export const hello = "aGVsbG8=";

/** Of each algorithm that can sign a digest, the bytes of one: written down a second time on purpose. */
export const digestBytes: Readonly<Partial<Record<AlgorithmName, number>>> = {
	ES256: 32,
	ES384: 48,
	ES512: 64,
	ES256K: 32,
	BIP340: 32,
};

export interface Key {
	readonly id: string;
	readonly name: string;
	// biome-ignore lint/suspicious/noExplicitAny: tests look into answers whose shape is what they test
	readonly [field: string]: any;
}

let made = 0;

/** A new key; its name is one of its own unless it is given. */
export async function newKey(
	tenant: Tenant,
	algorithm: AlgorithmName = "Ed25519",
	fields: Readonly<Record<string, unknown>> = {},
): Promise<Key> {
	made++;
	const json = { name: `key-${made}`, algorithm, ...fields };
	const answer = await tenant.call("POST", "/v1/keys", { json });
	expect(answer.status, answer.text).toBe(201);
	return answer.json;
}

/** A key in this state. */
export async function newKeyIn(
	tenant: Tenant,
	state: "enabled" | "disabled" | "pending_deletion",
): Promise<Key> {
	const key = await newKey(tenant);
	if (state === "disabled") await tenant.call("POST", `/v1/keys/${key.id}/disable`);
	if (state === "pending_deletion") await tenant.call("DELETE", `/v1/keys/${key.id}`);
	const now = await tenant.call("GET", `/v1/keys/${key.id}`);
	expect(now.json.state).toBe(state);
	return now.json;
}

/** Signs, and answers what the service answered, which must be a signature. */
export async function signed(
	tenant: Tenant,
	ref: string,
	json: Readonly<Record<string, unknown>> = { message: hello },
) {
	const answer = await tenant.call("POST", `/v1/keys/${ref}/sign`, { json });
	expect(answer.status, answer.text).toBe(200);
	return answer.json;
}

/** Verifies; the answer must be one. */
export async function verified(
	tenant: Tenant,
	ref: string,
	json: Readonly<Record<string, unknown>>,
) {
	const answer = await tenant.call("POST", `/v1/keys/${ref}/verify`, { json });
	expect(answer.status, answer.text).toBe(200);
	return answer.json;
}

/** The day of the key's deletion has come, though no job has met it yet. */
export async function deletionIsDue(tenant: Tenant, id: string): Promise<void> {
	const sql = ownerSql();
	await sql.query(
		`update keys set state = 'pending_deletion', delete_at = now() - interval '1 second'
		where tenant_id = $1 and id = $2`,
		[tenant.id, id],
	);
}

export function base64Of(text: string): string {
	return toBase64(utf8(text));
}

/** `count` bytes, all the same. */
export function bytesOf(count: number, value = 7): string {
	return toBase64(new Uint8Array(count).fill(value));
}
