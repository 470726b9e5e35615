import { createHash, createPublicKey, verify as nodeVerify } from "node:crypto";
import { createRemoteJWKSet, importJWK, jwtVerify } from "jose";
import { type Hex, hashMessage, recoverAddress, serializeSignature } from "viem";
import { publicKeyToAddress } from "viem/accounts";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { withDatabase } from "../../local/database.ts";
import { startTestStack, type TestStack } from "../support/node/stack.ts";

/*
 * Other libraries judge what the service signs, over HTTP, as a user would have them do it:
 * nothing of the service's own code takes part in the verdict.
 */

interface Key {
	readonly id: string;
	readonly algorithm: string;
	readonly publicKey: { jwk: Record<string, string>; pem: string };
}
interface Signed {
	readonly signature: string;
	readonly recoveryId?: number;
}

const keys = [
	["Ed25519", undefined],
	["ES256", undefined],
	["ES384", undefined],
	["ES512", undefined],
	["ES256K", undefined],
	["RS256", 2048],
	["RS256", 3072],
	["PS256", 2048],
	["PS256", 4096],
] as const;
const message = Buffer.from("the quick brown fox signs at the edge");

let stack: TestStack;
beforeAll(async () => {
	stack = await startTestStack({ spareKeys: true });
});
afterAll(() => stack?.stop());

let made = 0;
function makeKey(algorithm: string, modulusLength?: number): Promise<Key> {
	const name = `judged-${algorithm}-${++made}`;
	return stack.call<Key>("POST", "/v1/keys", { name, algorithm, modulusLength });
}

describe("Node's crypto", () => {
	it("verifies what keys sign that were made ahead, outside of the worker", async () => {
		const madeAhead = async () => {
			const { rows } = await withDatabase(stack.databaseUrl, (client) =>
				client.query<{ n: string }>(
					"select public_jwk ->> 'n' as n from spare_keys where modulus_length = 2048",
				),
			);
			return rows.map(({ n }) => n);
		};
		await expect.poll(madeAhead, { timeout: 20_000 }).not.toEqual([]);
		const waiting = await madeAhead();
		const { id, publicKey } = await makeKey("RS256", 2048);
		expect(waiting).toContain(publicKey.jwk.n);
		const body = { message: message.toString("base64") };
		const { signature } = await stack.call<Signed>("POST", `/v1/keys/${id}/sign`, body);
		const bytes = Buffer.from(signature, "base64");
		expect(nodeVerify("sha256", message, createPublicKey(publicKey.pem), bytes)).toBe(true);
	});

	it.each(keys)("verifies %s (%s bits), raw and DER", async (algorithm, modulusLength) => {
		const key = await makeKey(algorithm, modulusLength);
		const publicKey = createPublicKey(key.publicKey.pem);
		const hash = { ES384: "sha384", ES512: "sha512", Ed25519: null }[algorithm as string];
		const padding = algorithm === "PS256" ? { padding: 6, saltLength: 32 } : {};
		const isEcdsa = algorithm.startsWith("ES");
		for (const encoding of isEcdsa ? ["raw", "der"] : ["raw"]) {
			const body = { message: message.toString("base64"), encoding };
			const { signature } = await stack.call<Signed>("POST", `/v1/keys/${key.id}/sign`, body);
			const dsaEncoding = encoding === "der" ? "der" : "ieee-p1363";
			const verdict = nodeVerify(
				hash === undefined ? "sha256" : hash,
				message,
				{ key: publicKey, ...padding, ...(isEcdsa && { dsaEncoding }) },
				Buffer.from(signature, "base64"),
			);
			expect(verdict).toBe(true);
		}
	});
});

describe("jose", () => {
	it.each(keys.filter(([algorithm]) => algorithm !== "ES256K"))(
		"verifies a JWT of %s (%s bits) with the key set that it fetches itself",
		async (algorithm, bits) => {
			const key = await makeKey(algorithm, bits);
			const { token } = await stack.call<{ token: string }>("POST", `/v1/keys/${key.id}/jwt`, {
				claims: { sub: "user-1", aud: "shop" },
				expiresIn: 60,
			});
			const jwks = createRemoteJWKSet(new URL(`${stack.url}/t/main/.well-known/jwks.json`));
			const { payload } = await jwtVerify(token, jwks, { audience: "shop" });
			expect(payload.sub).toBe("user-1");
			const [header, claims, signature] = token.split(".");
			const forged = `${header}.${Buffer.from('{"sub":"user-2"}').toString("base64url")}.${signature}`;
			expect(claims).toBeDefined();
			await expect(jwtVerify(forged, jwks)).rejects.toThrow("signature verification failed");
		},
	);

	it("imports every public JWK that the service shows", async () => {
		const { keys: published } = (await (
			await fetch(`${stack.url}/t/main/.well-known/jwks.json`)
		).json()) as { keys: { alg: string }[] };
		expect(published.length).toBeGreaterThan(5);
		for (const jwk of published.filter(({ alg }) => alg !== "ES256K")) {
			expect(await importJWK(jwk, jwk.alg)).toBeDefined();
		}
	});
});

describe("viem", () => {
	it("recovers the address of an ES256K key from a digest and the recovery id", async () => {
		const key = await makeKey("ES256K");
		const { x = "", y = "" } = key.publicKey.jwk;
		const point = Buffer.concat([Buffer.of(4), fromBase64Url(x), fromBase64Url(y)]);
		const address = publicKeyToAddress(`0x${point.toString("hex")}`);
		for (let index = 0; index < 8; index++) {
			const hash = hashMessage(`message ${index}`);
			const digest = Buffer.from(hash.slice(2), "hex").toString("base64");
			const { signature, recoveryId } = await stack.call<Signed>(
				"POST",
				`/v1/keys/${key.id}/sign`,
				{ digest },
			);
			const rs = Buffer.from(signature, "base64").toString("hex");
			const ethereum = serializeSignature({
				r: `0x${rs.slice(0, 64)}`,
				s: `0x${rs.slice(64)}`,
				yParity: recoveryId ?? -1,
			});
			expect(await recoverAddress({ hash, signature: ethereum as Hex })).toBe(address);
		}
	});
});

describe("the HMAC of HS256", () => {
	it("is the one that Node's crypto makes of an imported key", async () => {
		const secret = createHash("sha256").update("a shared secret").digest();
		const k = secret.toString("base64url");
		await stack.call("POST", "/v1/keys/import", {
			name: "shared",
			algorithm: "HS256",
			key: { kty: "oct", k },
		});
		const { token } = await stack.call<{ token: string }>("POST", "/v1/keys/shared/jwt", {
			claims: { sub: "user-1" },
		});
		const { payload } = await jwtVerify(token, secret, { algorithms: ["HS256"] });
		expect(payload.sub).toBe("user-1");
	});
});

function fromBase64Url(text: string): Buffer {
	return Buffer.from(text, "base64url");
}
