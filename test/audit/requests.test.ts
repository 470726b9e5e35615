import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it } from "vitest";
import { type AppendCall, AuditUnavailable } from "../../src/audit/log.ts";
import { splitAppend } from "../../src/audit/record.ts";
import { fromBase64, fromBase64Url, toHex, utf8 } from "../../src/lib/bytes.ts";
import * as limits from "../../src/limits.ts";
import { createServices, type Services } from "../../src/services.ts";
import {
	ask,
	crashingBeforeFinish,
	letAttemptsStall,
	newIdempotencyKey,
} from "../idempotency/support.ts";
import { expectProblem } from "../support/answers.ts";
import { hello, type Key, newKey, newKeyIn } from "../support/keys.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";
import { breaksOf, objectAt, placeOfTests, recordsOf, type StoredRecord } from "./support.ts";

let tenant: Tenant;
let token: string;
let key: Key;
beforeEach(async () => {
	tenant = await newTenant();
	token = await tenant.token("admin");
	key = await newKey(tenant);
});

async function sha256(bytes: Uint8Array<ArrayBuffer> | null): Promise<string> {
	return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes ?? new Uint8Array())));
}

/** The records after that of the key that each test begins with. */
async function recorded(): Promise<StoredRecord[]> {
	const [first, ...rest] = await recordsOf(tenant.id);
	expect(first).toMatchObject({ action: "createKey", target: { id: key.id, name: key.name } });
	expect(await breaksOf(tenant.id)).toEqual([]);
	return rest;
}

function sign(json: unknown = { message: hello }, ref = key.name) {
	return tenant.call("POST", `/v1/keys/${ref}/sign`, { json });
}

/** Services whose log does this instead. */
function withLog(
	append: (call: AppendCall, real: () => Promise<"kept" | "full">) => Promise<"kept" | "full">,
): Services {
	const services = createServices(env);
	const { audit } = services;
	return {
		...services,
		audit: {
			append: (call, background) => append(call, () => audit.append(call, background)),
			appendOnce: (call) => append(call, () => audit.appendOnce(call)),
		},
	};
}

const lost = () => Promise.reject(new AuditUnavailable("gone"));

async function lostAfterwards(_: AppendCall, real: () => Promise<"kept" | "full">) {
	await real();
	return lost();
}

describe("a signature", () => {
	it("has a record with what was signed, as digests, by whom, and as which request", async () => {
		const answer = await sign({ message: hello });
		const [record, ...more] = await recorded();
		expect(more).toEqual([]);
		expect(record).toMatchObject({
			requestId: answer.headers.get("x-request-id"),
			tenant: tenant.id,
			action: "sign",
			target: { id: key.id, name: key.name, version: 1, algorithm: "Ed25519" },
			inputKind: "message",
			outcome: "ok",
			cost: 100,
		});
		expect(toHex(record?.input ?? new Uint8Array())).toBe(await sha256(utf8("hello")));
		const raw = fromBase64(answer.json.signature);
		expect(toHex(record?.signature ?? new Uint8Array())).toBe(await sha256(raw));
	});

	it.each([["raw"], ["der"]])("of ECDSA as %s has the digest of its raw form", async (encoding) => {
		const ec = await newKey(tenant, "ES256");
		await sign({ message: hello, encoding }, ec.name);
		const raw = await sign({ message: hello, encoding: "raw" }, ec.name);
		const records = (await recorded()).slice(1);
		expect(records.map(({ signature }) => signature?.length)).toEqual([32, 32]);
		const digest = await sha256(fromBase64(raw.json.signature));
		expect(toHex(records[1]?.signature ?? new Uint8Array())).toBe(digest);
	});

	it("over a digest has the digest of that, and says so", async () => {
		const ec = await newKey(tenant, "ES256");
		const digest = new Uint8Array(32).fill(9);
		await sign({ digest: digest.toBase64() }, ec.id);
		const record = (await recorded()).at(-1);
		expect(record?.inputKind).toBe("digest");
		expect(toHex(record?.input ?? new Uint8Array())).toBe(await sha256(digest));
	});

	it("over a long message has its digest", async () => {
		const message = new Uint8Array(100_000).fill(3);
		await sign({ message: message.toBase64() });
		const record = (await recorded()).at(-1);
		expect(toHex(record?.input ?? new Uint8Array())).toBe(await sha256(message));
	});

	it("in a JWT has the digest of what the JWS signs", async () => {
		const answer = await tenant.call("POST", `/v1/keys/${key.name}/jwt`, { json: { claims: {} } });
		const [head, claims, signature = ""] = answer.json.token.split(".");
		const [record] = await recorded();
		expect(record).toMatchObject({ action: "signJwt", inputKind: "message", outcome: "ok" });
		expect(toHex(record?.input ?? new Uint8Array())).toBe(await sha256(utf8(`${head}.${claims}`)));
		const raw = fromBase64Url(signature);
		expect(toHex(record?.signature ?? new Uint8Array())).toBe(await sha256(raw));
	});

	it("in a batch has a record of its own, with its place in the batch and its part of the cost", async () => {
		const items = [{ message: hello }, { message: "!" }, { message: "d29ybGQ=" }];
		const answer = await tenant.call("POST", `/v1/keys/${key.name}/sign-batch`, {
			json: { items },
		});
		const records = await recorded();
		expect(records.map(({ number, outcome, cost }) => [number, outcome, cost])).toEqual([
			[0, "ok", 100],
			[2, "ok", 100],
		]);
		const digests = records.map(({ signature }) => toHex(signature ?? new Uint8Array()));
		const raw = [0, 2].map((index) => fromBase64(answer.json.results[index].signature));
		expect(digests).toEqual(await Promise.all(raw.map(sha256)));
		const requestId = answer.headers.get("x-request-id");
		expect(new Set(records.map((record) => record.requestId))).toEqual(new Set([requestId]));
	});

	it("of a batch in which nothing could be signed has none", async () => {
		const json = { items: [{ message: "!" }] };
		await tenant.call("POST", `/v1/keys/${key.name}/sign-batch`, { json });
		expect(await recorded()).toEqual([]);
	});
});

describe("a verification", () => {
	it("has a record when the signature is wrong, and none when it is right", async () => {
		const { json } = await sign();
		const right = { message: hello, signature: json.signature };
		const wrong = { message: "d29ybGQ=", signature: json.signature };
		await tenant.call("POST", `/v1/keys/${key.name}/verify`, { json: right });
		await tenant.call("POST", `/v1/keys/${key.name}/verify`, { json: wrong });
		const items = [right, wrong, wrong];
		await tenant.call("POST", `/v1/keys/${key.name}/verify-batch`, { json: { items } });
		const records = (await recorded()).slice(1);
		expect(
			records.map(({ action, number, outcome, cost }) => [action, number, outcome, cost]),
		).toEqual([
			["verify", 0, "invalid", 50],
			["verifyBatch", 1, "invalid", 50],
			["verifyBatch", 2, "invalid", 50],
		]);
		const world = await sha256(utf8("world"));
		expect(records.map(({ input }) => toHex(input ?? new Uint8Array()))).toEqual([
			world,
			world,
			world,
		]);
	});
});

describe("a verification with a key of the caller's own", () => {
	it("has a record when the signature is wrong, of no key, and none when it is right", async () => {
		const { json } = await sign();
		const own = { algorithm: "Ed25519", publicKey: key.publicKey.jwk, signature: json.signature };
		for (const message of [hello, "d29ybGQ="]) {
			await tenant.call("POST", "/v1/verify", { json: { ...own, message } });
		}
		const [, ...records] = await recorded();
		expect(records).toMatchObject([
			{
				action: "verifyStateless",
				outcome: "invalid",
				target: { id: null, name: "", version: 0, algorithm: "Ed25519" },
			},
		]);
		expect(toHex(records[0]?.input ?? new Uint8Array())).toBe(await sha256(utf8("world")));
	});
});

describe("a refusal", () => {
	const cases = [
		["the role", "verifier", null, "role_forbidden"],
		["the key's name", "signer", ["other-*"], "key_out_of_scope"],
	] as const;

	it.each(cases)(
		"for %s has a record that names the caller and the key",
		async (_, role, keys, code) => {
			const other = await tenant.token(role, keys ? { keys } : {});
			const json = { message: hello };
			const answer = await tenant.call("POST", `/v1/keys/${key.name}/sign`, { json, token: other });
			expect(answer.json.code).toBe(code);
			expect(await recorded()).toMatchObject([
				{ action: "sign", outcome: code, target: { id: null, name: key.name }, input: null },
			]);
		},
	);

	it("of what a token for some keys may not do has a record", async () => {
		const scoped = await tenant.token("admin", { keys: ["*"] });
		const answer = await tenant.call("GET", "/v1/tokens", { token: scoped });
		expectProblem(answer, 403, "scoped_token_forbidden");
		expect(await recorded()).toMatchObject([
			{ action: "listTokens", outcome: "scoped_token_forbidden", target: { id: null, name: "" } },
		]);
	});

	it("names the key by its id, in whatever case that came", async () => {
		const other = await tenant.token("verifier");
		const json = { message: hello };
		await tenant.call("POST", `/v1/keys/${key.id.toUpperCase()}/sign`, { json, token: other });
		expect(await recorded()).toMatchObject([{ target: { id: key.id, name: "" } }]);
	});

	it("for a key that is out of use has a record", async () => {
		const { id, name } = await newKeyIn(tenant, "disabled");
		for (const ref of [id, name]) await sign({ message: hello }, ref);
		const refusal = { action: "sign", outcome: "key_disabled", target: { id, name } };
		expect((await recorded()).slice(-2)).toMatchObject([refusal, refusal]);
	});

	it("for a version that may not sign any more has a record", async () => {
		const { id, name } = await newKey(tenant);
		await tenant.call("POST", `/v1/keys/${id}/rotate`);
		await tenant.call("PATCH", `/v1/keys/${id}`, { json: { minSignVersion: 2 } });
		const refused = await sign({ message: hello, version: 1 }, id);
		expect(refused.status, refused.text).toBe(409);
		const refusal = { action: "sign", outcome: "version_below_minimum", target: { id, name } };
		expect((await recorded()).at(-1)).toMatchObject(refusal);
	});

	it("for a mistake in the request, or a caller whom nobody knows, has none", async () => {
		await sign({ message: "!" });
		await sign({ message: hello }, "nothing");
		await tenant.call("POST", "/v1/keys/x/sign", { json: { message: hello }, token: `${token}x` });
		await tenant.call("POST", "/v1/keys/%00/sign", { json: { message: hello } });
		expect(await recorded()).toEqual([]);
	});

	it("of a token that was revoked or has expired has a record, and not one for each try", async () => {
		const made = async (name: string) => {
			const json = { name, role: "signer" };
			return (await tenant.call("POST", "/v1/tokens", { json })).json;
		};
		const [revoked, expired] = [await made("revoked"), await made("expired")];
		await tenant.call("DELETE", `/v1/tokens/${revoked.id}`);
		await ownerSql().query(
			"update tokens set expires_at = now() - interval '1 second' where tenant_id = $1 and id = $2",
			[tenant.id, expired.id],
		);
		const before = (await recorded()).length;
		for (const { token: ended } of [revoked, revoked, revoked, expired, expired, expired]) {
			const answer = await tenant.call("POST", `/v1/keys/${key.name}/sign`, {
				json: { message: hello },
				token: ended,
			});
			expectProblem(answer, 401, "invalid_token");
			expect(answer.text).not.toContain(revoked.id);
		}
		const records = (await recorded()).slice(before);
		expect(new Set(records.map(({ tokenId }) => tokenId))).toEqual(
			new Set([revoked.id, expired.id]),
		);
		expect(records.length).toBeLessThan(6);
		expect(records[0]).toMatchObject({
			...{ action: "sign", outcome: "invalid_token", target: { id: null, name: key.name } },
		});
	});

	it("with a path that no key can have has a record without a name", async () => {
		const other = await tenant.token("verifier");
		await tenant.call("POST", "/v1/keys/%00/rotate", { token: other });
		await tenant.call("POST", `/v1/keys/${"x".repeat(2000)}/rotate`, { token: other });
		const records = await recorded();
		expect(records.map(({ target, outcome }) => [target.name, outcome])).toEqual([
			["", "role_forbidden"],
			["", "role_forbidden"],
		]);
	});
});

describe("what may not be told without its record", () => {
	const asked = () => ({ id: "sign", params: { key: key.id }, json: { message: hello }, token });

	it.each([
		["does not answer", lost],
		["has lost its answer", lostAfterwards],
	])("is a 503 when the log %s", async (_, append) => {
		const answer = await ask(withLog(append), asked());
		expect(answer.status).toBe(503);
		expect(answer.headers.get("retry-after")).toBe("1");
		const text = await answer.text();
		expect(JSON.parse(text).code).toBe("audit_unavailable");
		expect(text).not.toContain("signature");
	});

	it("is a 503 of its own when the log is full", async () => {
		const full = await ask(
			withLog(async () => "full"),
			asked(),
		);
		expect([full.status, (await full.json<{ code: string }>()).code]).toEqual([
			503,
			"audit_backlog_full",
		]);
	});

	it(
		"is a 503 within its time-out when the log hangs",
		async () => {
			const services = createServices({
				...env,
				AUDIT_LOG: {
					getByName: () => ({ append: () => new Promise(() => {}) }),
				} as unknown as DurableObjectNamespace,
			});
			expect((await ask(services, asked())).status).toBe(503);
		},
		3 * limits.auditTimeoutMs,
	);

	it("is not told when the tenant changed while the record was written", async () => {
		const services = withLog(async (_, real) => {
			await tenant.call("POST", `/v1/keys/${key.id}/disable`);
			services.leases.end(tenant.id);
			return real();
		});
		const answer = await ask(services, asked());
		expect((await answer.json<{ code: string }>()).code).toBe("lease_lapsed");
	});

	it("is told, with one record, though changes go on that are not about it", async () => {
		let looks = 0;
		const services = withLog(async (_, real) => {
			const answered = await real();
			const { leases } = services;
			const lifeOf = leases.lifeOf.bind(leases);
			// Each time that it is looked, and each time that the caller is admitted anew.
			leases.lifeOf = (of) => {
				if (++looks < 2 * limits.answerRenewals) leases.end(of);
				return lifeOf(of);
			};
			return answered;
		});
		const answer = await ask(services, asked());
		expect(answer.status).toBe(200);
		expect(looks).toBeGreaterThan(2 * limits.answerRenewals);
		expect((await recorded()).filter(({ action }) => action === "sign")).toHaveLength(1);
	});

	it("is told, with one record, when the change that came was not about it", async () => {
		let changes = 0;
		const services = withLog(async (_, real) => {
			changes++;
			await tenant.call("POST", "/v1/keys", { json: { name: "another", algorithm: "Ed25519" } });
			services.leases.end(tenant.id);
			return real();
		});
		const answer = await ask(services, asked());
		expect(answer.status).toBe(200);
		const { signature } = await answer.json<{ signature: string }>();
		expect(changes).toBe(1);
		const signed = (await recorded()).filter(({ action }) => action === "sign");
		expect(signed).toHaveLength(1);
		const digest = await sha256(fromBase64(signature));
		expect(toHex(signed[0]?.signature ?? new Uint8Array())).toBe(digest);
	});

	it("is not told when the key was rotated while the record was written", async () => {
		const services = withLog(async (_, real) => {
			await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
			services.leases.end(tenant.id);
			return real();
		});
		const answer = await ask(services, asked());
		expect((await answer.json<{ code: string }>()).code).toBe("lease_lapsed");
	});

	it("is a refusal of the role too", async () => {
		const other = { ...asked(), token: await tenant.token("verifier") };
		expect((await ask(withLog(lost), other)).status).toBe(503);
		expect((await ask(createServices(env), other)).status).toBe(403);
	});
});

describe("with an Idempotency-Key", () => {
	const ways = [
		["did not answer", lost],
		["lost its answer", lostAfterwards],
	] as const;

	it.each(ways)(
		"a signature whose log %s comes again as the same one, with one record",
		async (_, append) => {
			const ec = await newKey(tenant, "ES256");
			const json = { message: hello };
			const asked = { id: "sign", params: { key: ec.id }, json, key: newIdempotencyKey(), token };
			expect((await ask(withLog(append), asked)).status).toBe(503);
			expect((await ask(withLog(append), asked)).status).toBe(503);
			const answers = await Promise.all(
				[1, 2, 3].map(async () =>
					(await ask(createServices(env), asked)).json<{ signature: string }>(),
				),
			);
			expect(new Set(answers.map(({ signature }) => signature)).size).toBe(1);
			await recorded();
			expect((await ask(createServices(env), asked)).status).toBe(200); // after the move
			const records = (await recorded()).slice(1);
			expect(records).toHaveLength(1);
			const digest = await sha256(fromBase64(answers[0]?.signature ?? ""));
			expect(toHex(records[0]?.signature ?? new Uint8Array())).toBe(digest);
		},
	);

	it("a batch of 1,000 whose log lost its answer has each of its records once", async () => {
		const items = Array.from({ length: 1000 }, () => ({ message: hello }));
		const asked = {
			id: "signBatch",
			params: { key: key.id },
			json: { items },
			key: newIdempotencyKey(),
			token,
		};
		expect((await ask(withLog(lostAfterwards), asked)).status).toBe(503);
		const answer = await ask(createServices(env), asked);
		expect((await answer.json<{ results: unknown[] }>()).results).toHaveLength(1000);
		const records = await recorded();
		expect(records.map(({ number }) => number)).toEqual(items.map((_, index) => index));
	});

	it("a signature that was made and not kept is nobody's, and has no record", async () => {
		const ec = await newKey(tenant, "ES256");
		const json = { message: hello };
		const asked = { id: "sign", params: { key: ec.id }, json, key: newIdempotencyKey(), token };
		expect((await ask(crashingBeforeFinish(), asked)).status).toBe(503);
		await letAttemptsStall();
		expect((await ask(createServices(env), asked)).status).toBe(200);
		expect((await recorded()).slice(1)).toHaveLength(1);
	});

	it("a refusal is replayed with the record that it has", async () => {
		const other = await tenant.token("signer", { keys: ["other-*"] });
		const json = { message: hello };
		const asked = {
			id: "sign",
			params: { key: key.name },
			json,
			key: newIdempotencyKey(),
			token: other,
		};
		expect((await ask(withLog(lost), asked)).status).toBe(503);
		const replayed = await ask(createServices(env), asked);
		expect(replayed.headers.get("idempotency-replayed")).toBe("true");
		expect(replayed.status).toBe(403);
		expect(await recorded()).toMatchObject([{ outcome: "key_out_of_scope" }]);
	});

	it("another request under the same key has no record", async () => {
		const keyed = { "Idempotency-Key": newIdempotencyKey() };
		const path = `/v1/keys/${key.name}/sign`;
		await tenant.call("POST", path, { json: { message: hello }, headers: keyed });
		const other = await tenant.call("POST", path, {
			json: { message: "d29ybGQ=" },
			headers: keyed,
		});
		expectProblem(other, 422, "idempotency_key_reused");
		expect(await recorded()).toHaveLength(1);
	});
});

it("no message, token, claim or signature is in the log", async () => {
	const secret = "a very secret message";
	const json = { message: utf8(secret).toBase64() };
	const answers = [
		await sign(json),
		await tenant.call("POST", `/v1/keys/${key.name}/jwt`, { json: { claims: { secret } } }),
	];
	const signature: string = answers[0]?.json.signature;
	const signatureBytes = fromBase64(signature) ?? new Uint8Array();
	const stored = await runInDurableObject(objectAt(placeOfTests(tenant.id)), (_, { storage }) =>
		[...storage.sql.exec("select bytes from blocks")].map(({ bytes }) =>
			toHex(new Uint8Array(bytes as ArrayBuffer)),
		),
	);
	const text = `${stored.join()} ${JSON.stringify(await recorded())}`;
	expect(text.length).toBeGreaterThan(1000);
	for (const bytes of [utf8(secret), utf8(token), utf8(token.slice(-20)), signatureBytes]) {
		expect(text).not.toContain(toHex(bytes));
	}
	for (const part of [secret, token, signature, json.message]) expect(text).not.toContain(part);
});

it("the records of an append can be counted on: one for each signature, none for the rest", async () => {
	const calls: number[] = [];
	const services = withLog(async (call, real) => {
		calls.push(splitAppend(call.records).length);
		return real();
	});
	const items = [{ message: hello }, { message: hello }];
	await ask(services, { id: "signBatch", params: { key: key.id }, json: { items }, token });
	await ask(services, { id: "getKey", params: { key: key.id }, token });
	await ask(services, { id: "sign", params: { key: key.id }, json: { message: hello }, token });
	expect(calls).toEqual([2, 1]);
});
