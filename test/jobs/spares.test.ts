import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { fromBase64, toBase64, utf8 } from "../../src/lib/bytes.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import { algorithms } from "../../src/signing/algorithms.ts";
import { createEnvelope } from "../../src/signing/envelope.ts";
import { createKey } from "../../src/signing/keys.ts";
import { refillSpareKeys, takeSpareKey } from "../../src/signing/spares.ts";
import type { KeyMaterial } from "../../src/signing/types.ts";
import { type OwnSchema, ownSchema } from "../support/schema.ts";

let schema: OwnSchema;
beforeEach(async () => {
	schema = await ownSchema();
});

const caller = {
	tenant: "main",
	tokenId: "01900000-0000-7000-8000-000000000001",
	role: "admin",
	keyPatterns: null,
	rateLimit: null,
} as const;

/** Rows that count as spares, and can be opened by nobody. */
async function fill(bits: number, count: number, kekId = schema.services.envelope.newestKekId) {
	for (let i = 0; i < count; i++) {
		await schema.query(
			`insert into spare_keys (modulus_length, id, public_jwk, kek_id, sealed)
			values ($1, $2, '{"kty":"RSA","n":"AQ","e":"AQAB"}', $3, decode('01', 'hex'))`,
			[bits, uuidv7(systemClock, systemRandom), kekId],
		);
	}
}

/** Two by turns, whatever size is asked for: a busy machine takes many seconds to find one. */
const pairs: KeyMaterial[] = [];
let used = 0;
beforeAll(async () => {
	for (let i = 0; i < 2; i++) pairs.push(await algorithms.RS256.generate(2048));
}, 120_000);

async function readyMade(): Promise<KeyMaterial> {
	const pair = pairs[used++ % pairs.length] as KeyMaterial;
	return { ...pair, secret: pair.secret?.slice() ?? null }; // what is sealed is overwritten
}

const refill = (services: OwnSchema["services"], generate = readyMade) =>
	refillSpareKeys(services, generate);

async function counts() {
	const rows = await schema.query(
		"select modulus_length, count(*)::int from spare_keys group by 1 order by 1",
	);
	return Object.fromEntries(rows.map((row) => [row.modulus_length, row.count]));
}

describe("refilling the stock of RSA keys", () => {
	it("makes four keys a run, the smallest first, until there are four of each size", async () => {
		expect(await refill(schema.services)).toBe(4);
		expect(await counts()).toEqual({ 2048: 4 });
		await fill(3072, 4);
		await fill(4096, 4);
		expect(await refill(schema.services)).toBe(0);
		expect(await counts()).toEqual({ 2048: 4, 3072: 4, 4096: 4 });
	}, 60_000);

	it("makes what is missing, and no more", async () => {
		await fill(2048, 4);
		await fill(3072, 3);
		await fill(4096, 5);
		expect(await refill(schema.services, algorithms.RS256.generate)).toBe(1);
		expect(await counts()).toEqual({ 2048: 4, 3072: 4, 4096: 5 });
	}, 120_000);

	it("drops what is sealed under an older key-encryption key, and makes it anew", async () => {
		await fill(2048, 4, "an-older-one");
		await fill(3072, 4);
		await fill(4096, 4);
		expect(await refill(schema.services)).toBe(4);
		expect(await counts()).toEqual({ 2048: 4, 3072: 4, 4096: 4 });
		const old = await schema.query("select 1 from spare_keys where kek_id = 'an-older-one'");
		expect(old).toEqual([]);
	}, 60_000);

	it("seals each key for its own row: two of them can not be exchanged", async () => {
		await fill(3072, 4);
		await fill(4096, 4);
		await fill(2048, 2);
		await refill(schema.services);
		await schema.query("delete from spare_keys where sealed = decode('01', 'hex')");
		const [first, second] = await schema.query(
			"select id, encode(sealed, 'hex') as sealed from spare_keys order by id",
		);
		expect(first?.sealed).not.toBe(second?.sealed);
		await schema.query("update spare_keys set sealed = decode($2, 'hex') where id = $1", [
			first?.id,
			second?.sealed,
		]);
		expect(await takeSpareKey(schema.services, 2048)).toBeNull();
		expect((await takeSpareKey(schema.services, 2048))?.publicJwk?.kty).toBe("RSA");
	}, 60_000);
});

describe("a spare key", () => {
	beforeEach(async () => {
		await fill(2048, 2);
		await fill(3072, 4);
		await fill(4096, 4);
		await refill(schema.services);
		await schema.query("delete from spare_keys where sealed = decode('01', 'hex')");
	}, 60_000);

	it("is used once, also when many ask at the same time", async () => {
		const taken = await Promise.all(
			Array.from({ length: 6 }, () => takeSpareKey(schema.services, 2048)),
		);
		const moduli = taken.flatMap((key) => (key?.publicJwk?.kty === "RSA" ? [key.publicJwk.n] : []));
		expect(moduli).toHaveLength(2);
		expect(new Set(moduli).size).toBe(2);
		expect(await counts()).toEqual({});
	});

	it("is not taken for a key whose name is in use", async () => {
		const request = { name: "taken", tags: {} } as const;
		await createKey(schema.services, caller, { ...request, algorithm: "Ed25519" });
		const made = await createKey(schema.services, caller, { ...request, algorithm: "RS256" });
		expect(made).toMatchObject({ ok: false, error: { code: "key_name_taken" } });
		expect(await counts()).toEqual({ 2048: 2 });
	});

	it("is not taken for another size", async () => {
		expect(await takeSpareKey(schema.services, 3072)).toBeNull();
		expect(await counts()).toEqual({ 2048: 2 });
	});

	it.each(["RS256", "PS256"] as const)("becomes a key of %s that signs", async (algorithm) => {
		const before = await schema.query("select public_jwk from spare_keys order by id");
		const made = await createKey(schema.services, caller, { name: "fast", algorithm, tags: {} });
		if (!made.ok) throw new Error(made.error.code);
		expect(made.value.publicJwk).toEqual(before[0]?.public_jwk);
		expect(await counts()).toEqual({ 2048: 1 });
		const rows = await schema.query(
			"select kek_id, replace(encode(sealed, 'base64'), E'\\n', '') as sealed from key_versions",
		);
		const sealed = {
			kekId: String(rows[0]?.kek_id),
			bytes: fromBase64(String(rows[0]?.sealed)) ?? new Uint8Array(),
		};
		const context = { tenant: caller.tenant, keyId: made.value.row.id, version: 1, algorithm };
		const secret = await schema.services.envelope.open(sealed, context);
		const parameters = {
			name: algorithm === "RS256" ? "RSASSA-PKCS1-v1_5" : "RSA-PSS",
			hash: "SHA-256",
			saltLength: 32,
		};
		const privateKey = await crypto.subtle.importKey("pkcs8", secret, parameters, false, ["sign"]);
		const publicKey = await crypto.subtle.importKey(
			"jwk",
			{ ...made.value.publicJwk } as JsonWebKey,
			parameters,
			false,
			["verify"],
		);
		const signature = await crypto.subtle.sign(parameters, privateKey, utf8("message"));
		const valid = crypto.subtle.verify(parameters, publicKey, signature, utf8("message"));
		expect(await valid).toBe(true);
	});
});

describe("a spare that can not be opened", () => {
	it.each([
		["is cut off", () => Uint8Array.of(1)],
		["is of an unknown format", () => new Uint8Array(200).fill(2)],
	])(
		"because it %s is thrown away, and the key is made on the spot",
		async (_, bytes) => {
			await fill(2048, 1);
			await schema.query("update spare_keys set sealed = decode($1, 'base64')", [
				toBase64(bytes()),
			]);
			const request = { name: "slow", algorithm: "RS256", tags: {} } as const;
			const made = await createKey(schema.services, caller, request);
			expect(made.ok && made.value.publicJwk?.kty).toBe("RSA");
			expect(await counts()).toEqual({});
		},
		60_000,
	);

	it("because its key-encryption key is gone is thrown away too", async () => {
		await fill(2048, 1, "gone");
		expect(await takeSpareKey(schema.services, 2048)).toBeNull();
		expect(await counts()).toEqual({});
	});

	it("because it was another's: what a key of a tenant was sealed as is no spare", async () => {
		const { newestKekId } = schema.services.envelope;
		const id = uuidv7(systemClock, systemRandom);
		const own = schema.services.config.keyEncryptionKeys;
		const sealed = await createEnvelope(own, systemRandom).seal(utf8("secret"), {
			tenant: "main",
			keyId: id,
			version: 2048,
			algorithm: "RSA",
		});
		await schema.query(
			`insert into spare_keys (modulus_length, id, public_jwk, kek_id, sealed)
			values (2048, $1, '{}', $2, decode($3, 'base64'))`,
			[id, newestKekId, toBase64(sealed.bytes)],
		);
		expect(await takeSpareKey(schema.services, 2048)).toBeNull();
	});
});
