import { type Bytes, toBase64Url } from "../../src/lib/bytes.ts";
import type { Result } from "../../src/lib/result.ts";
import type { AlgorithmName, PublicJwk } from "../../src/model.ts";
import { algorithms } from "../../src/signing/algorithms.ts";
import type {
	Algorithm,
	InputKind,
	KeyMaterial,
	Signer,
	Verifier,
} from "../../src/signing/types.ts";

export type Jwk = Record<string, unknown>;

export const everyAlgorithm: readonly Algorithm[] = Object.values(algorithms);
export const asymmetric = everyAlgorithm.filter((algorithm) => !algorithm.symmetric);

/** Every algorithm with every kind of input that it signs. */
export const everyUse: readonly { algorithm: Algorithm; kind: InputKind; name: string }[] =
	everyAlgorithm.flatMap((algorithm) =>
		(algorithm.digestBytes === null
			? ["message" as const]
			: ["message" as const, "digest" as const]
		).map((kind) => ({ algorithm, kind, name: `${algorithm.name} over a ${kind}` })),
	);

export function fromHex(text: string): Bytes {
	const bytes = new Uint8Array(text.length / 2);
	for (let i = 0; i < bytes.length; i++)
		bytes[i] = Number.parseInt(text.slice(2 * i, 2 * i + 2), 16);
	return bytes;
}

export function unwrap<T>(result: Result<T, { code: string; detail: string }>): T {
	if (!result.ok) throw new Error(`${result.error.code}: ${result.error.detail}`);
	return result.value;
}

/** One generated key for each algorithm: keys of RSA are slow to make. */
const generated = new Map<AlgorithmName, Promise<KeyMaterial>>();
export function keyOf(algorithm: Algorithm): Promise<KeyMaterial> {
	const known = generated.get(algorithm.name) ?? algorithm.generate();
	generated.set(algorithm.name, known);
	return known;
}

export function secretOf({ secret }: KeyMaterial): Bytes {
	if (!secret) throw new Error("the key has no secret");
	return secret.slice();
}

export function publicOf({ publicJwk }: KeyMaterial): PublicJwk {
	if (!publicJwk) throw new Error("the key has no public half");
	return publicJwk;
}

export function verifierOf(
	algorithm: Algorithm,
	key: KeyMaterial,
	kind: InputKind,
): Promise<Verifier> {
	const { publicJwk } = key;
	return algorithm.verifier(publicJwk ? { publicJwk } : { secret: secretOf(key) }, kind);
}

export async function openBoth(
	algorithm: Algorithm,
	kind: InputKind,
): Promise<{ sign: Signer; verify: Verifier; key: KeyMaterial }> {
	const key = await keyOf(algorithm);
	return {
		key,
		sign: await algorithm.signer(secretOf(key), kind),
		verify: await verifierOf(algorithm, key, kind),
	};
}

/** The bytes with one bit turned. */
export function flipBit(bytes: Bytes, bit: number): Bytes {
	const flipped = bytes.slice();
	const index = Math.floor(bit / 8) % flipped.length;
	flipped[index] = (flipped[index] ?? 0) ^ (1 << (bit % 8));
	return flipped;
}

/** The private JWK of a generated key, as another library would hand it in. */
export async function privateJwkOf(algorithm: Algorithm, key: KeyMaterial): Promise<Jwk> {
	const secret = secretOf(key);
	if (algorithm.symmetric) return { kty: "oct", k: toBase64Url(secret) };
	if (secret.length === 32) return { ...publicOf(key), d: toBase64Url(secret) };
	const parameters = webCryptoImports[algorithm.name] ?? { name: algorithm.name };
	const cryptoKey = await crypto.subtle.importKey("pkcs8", secret, parameters, true, ["sign"]);
	// Through JSON: workerd exports members that are undefined.
	const jwk: Jwk = JSON.parse(JSON.stringify(await crypto.subtle.exportKey("jwk", cryptoKey)));
	const { key_ops: _operations, ext: _extractable, alg: _algorithm, ...members } = jwk;
	return members;
}

const webCryptoImports: Partial<Record<AlgorithmName, SubtleCryptoImportKeyAlgorithm>> = {
	ES256: { name: "ECDSA", namedCurve: "P-256" },
	ES384: { name: "ECDSA", namedCurve: "P-384" },
	ES512: { name: "ECDSA", namedCurve: "P-521" },
	RS256: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" },
	PS256: { name: "RSA-PSS", hash: "SHA-256" },
};
