import { hashMessage, keccak256, recoverAddress, recoverMessageAddress } from "viem";
import { generatePrivateKey, privateKeyToAccount, publicKeyToAddress } from "viem/accounts";
import { describe, expect, it } from "vitest";
import { toHex } from "../../../src/lib/bytes.ts";
import { algorithms } from "../../../src/signing/algorithms.ts";
import type { Signature } from "../../../src/signing/types.ts";
import { fromHex, openBoth, publicOf, secretOf, unwrap, verifierOf } from "../support.ts";

const { ES256K } = algorithms;

function addressOf(publicJwk: ReturnType<typeof publicOf>) {
	return publicKeyToAddress(`0x${toHex(ES256K.exportRaw(publicJwk) ?? new Uint8Array())}`);
}

/** r||s||v, as Ethereum's tools pass signatures around. */
function toEthereum({ bytes, recoveryId = 0 }: Signature): `0x${string}` {
	return `0x${toHex(bytes)}${(27 + recoveryId).toString(16)}`;
}

describe("viem and ES256K", () => {
	it("recovers our address from a digest's signature and its recovery id", async () => {
		const { sign, key } = await openBoth(ES256K, "digest");
		for (let i = 0; i < 20; i++) {
			const hash = keccak256(Uint8Array.of(i));
			const signature = toEthereum(await sign(fromHex(hash.slice(2))));
			expect(await recoverAddress({ hash, signature })).toBe(addressOf(publicOf(key)));
		}
	});

	it("recovers our address from a signed message of EIP-191", async () => {
		const { sign, key } = await openBoth(ES256K, "digest");
		const message = "sign in with edgesign";
		const signature = toEthereum(await sign(fromHex(hashMessage(message).slice(2))));
		const address = await recoverMessageAddress({ message, signature });
		expect(address).toBe(addressOf(publicOf(key)));
	});

	it("signs with a key that we import, under the same address", async () => {
		const privateKey = generatePrivateKey();
		const account = privateKeyToAccount(privateKey);
		const point = fromHex(account.publicKey.slice(2));
		const base64Url = (bytes: Uint8Array) => Buffer.from(bytes).toString("base64url");
		const jwk = {
			kty: "EC",
			crv: "secp256k1",
			x: base64Url(point.subarray(1, 33)),
			y: base64Url(point.subarray(33)),
			d: base64Url(fromHex(privateKey.slice(2))),
		};
		const key = unwrap(await ES256K.importKey(jwk));
		expect(addressOf(publicOf(key))).toBe(account.address);
		const hash = keccak256(Uint8Array.of(42));
		const theirs = fromHex((await account.sign({ hash })).slice(2));
		const verify = await verifierOf(ES256K, key, "digest");
		expect(await verify(fromHex(hash.slice(2)), theirs.slice(0, 64))).toBe(true);
		const sign = await ES256K.signer(secretOf(key), "digest");
		const ours = toEthereum(await sign(fromHex(hash.slice(2))));
		expect(await recoverAddress({ hash, signature: ours })).toBe(account.address);
	});
});
