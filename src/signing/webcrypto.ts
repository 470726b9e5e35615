import type { Bytes } from "../lib/bytes.ts";
import type { InputKind, Signer, Verifier } from "./types.ts";

/** Asked for once: the way to it through `crypto` takes as long as writing a signature does. */
const { subtle } = crypto;

/** What WebCrypto has to be told of an algorithm, made once. A bare name is read faster than an object. */
export interface Parameters {
	/** For importKey and generateKey. */
	readonly key: SubtleCryptoImportKeyAlgorithm;
	/** For sign and verify. */
	readonly operation: string | SubtleCryptoSignAlgorithm;
}

/** A signer over a key that can not be taken out again. */
export async function webCryptoSigner(
	format: "pkcs8" | "raw",
	secret: Bytes,
	parameters: Parameters,
): Promise<Signer> {
	const key = await subtle.importKey(format, secret, parameters.key, false, ["sign"]);
	const { operation } = parameters;
	return (message) => subtle.sign(operation, key, message).then(signed);
}

function signed(signature: ArrayBuffer) {
	return { bytes: new Uint8Array(signature) };
}

/**
 * A verifier for signatures of one length. Any other length is false without asking WebCrypto,
 * which throws for some algorithms on some runtimes.
 */
export function webCryptoVerifier(
	key: CryptoKey,
	{ operation }: Parameters,
	signatureBytes: number,
): Verifier {
	return (message, signature) =>
		signature.length === signatureBytes
			? subtle.verify(operation, key, signature, message)
			: Promise.resolve(false);
}

/** Refuses what only a mistake in this service can ask for. */
export function requireMessage(name: string, kind: InputKind): void {
	if (kind !== "message") throw new TypeError(`${name} signs messages, not digests`);
}

export function requireDigest(name: string, digest: Bytes, byteCount: number): void {
	if (digest.length === byteCount) return;
	throw new RangeError(`${name} signs a digest of ${byteCount} bytes, not ${digest.length}`);
}

export async function exportJwk(key: CryptoKey): Promise<JsonWebKey> {
	return (await subtle.exportKey("jwk", key)) as JsonWebKey;
}

export async function exportBytes(format: "pkcs8" | "raw", key: CryptoKey): Promise<Bytes> {
	return new Uint8Array((await subtle.exportKey(format, key)) as ArrayBuffer);
}

/** importKey, or null where WebCrypto says that the material is no such key. */
export async function tryImport(
	format: "pkcs8" | "raw",
	material: Bytes,
	parameters: Parameters,
	usage: "sign" | "verify",
): Promise<CryptoKey | null> {
	try {
		return await subtle.importKey(format, material, parameters.key, true, [usage]);
	} catch {
		return null;
	}
}
