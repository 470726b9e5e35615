import type { Bytes, InputKind, Signer, Verifier } from "./types.ts";

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
	const key = await crypto.subtle.importKey(format, secret, parameters.key, false, ["sign"]);
	const { operation } = parameters;
	return async (message) => ({
		bytes: new Uint8Array(await crypto.subtle.sign(operation, key, message)),
	});
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
	return async (message, signature) =>
		signature.length === signatureBytes && crypto.subtle.verify(operation, key, signature, message);
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
	return (await crypto.subtle.exportKey("jwk", key)) as JsonWebKey;
}

export async function exportBytes(format: "pkcs8" | "raw", key: CryptoKey): Promise<Bytes> {
	return new Uint8Array((await crypto.subtle.exportKey(format, key)) as ArrayBuffer);
}

/** importKey, or null where WebCrypto says that the material is no such key. */
export async function tryImport(
	format: "pkcs8" | "raw",
	material: Bytes,
	parameters: Parameters,
	usage: "sign" | "verify",
): Promise<CryptoKey | null> {
	try {
		return await crypto.subtle.importKey(format, material, parameters.key, true, [usage]);
	} catch {
		return null;
	}
}
