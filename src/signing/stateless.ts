import { type Failure, failField, inField } from "../errors.ts";
import type { Bytes } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import type { AlgorithmName } from "../model.ts";
import { algorithms } from "./algorithms.ts";
import { hasSecret } from "./jwk.ts";
import { isPrivatePem, refuseKey } from "./keyinfo.ts";
import { refuseInput, type VerifyRequest } from "./sign.ts";
import { decodeSignature } from "./signature.ts";

/** A verification as it is answered, and what else the audit log wants to know of it. */
export interface StatelessVerified {
	readonly valid: boolean;
	/** The signature in its raw form. */
	readonly bytes: Bytes;
}

/** Verifies with a key of the caller's own; nothing of the key is kept. A private key is refused. */
export async function verifyStateless(
	name: AlgorithmName,
	publicKey: string | Readonly<Record<string, unknown>>,
	{ input, signature, encoding }: Omit<VerifyRequest, "version">,
): Promise<Result<StatelessVerified, Failure>> {
	const algorithm = algorithms[name];
	if (algorithm.symmetric) {
		return failField(
			"algorithm_unsupported",
			"/algorithm",
			`${name} has no public key to verify with.`,
		);
	}
	const refusal = refuseInput(algorithm, input);
	if (refusal) return refusal;
	const bytes = decodeSignature(algorithm, signature, encoding);
	if (!bytes.ok) return bytes;
	const isPrivate = typeof publicKey === "string" ? isPrivatePem(publicKey) : hasSecret(publicKey);
	const material = isPrivate
		? refuseKey("Send the public key; a private key must stay with its owner.")
		: await algorithm.importKey(publicKey);
	if (!material.ok) return inField(material, "/publicKey");
	const { publicJwk } = material.value;
	if (!publicJwk) throw new TypeError(`${name} has a public half`);
	const verifier = await algorithm.verifier({ publicJwk }, input.kind);
	return ok({ valid: await verifier(input.bytes, bytes.value), bytes: bytes.value });
}
