import { type Failure, failField } from "../errors.ts";
import { type Bytes, fromBase64, fromBase64Url, toBase64, toBase64Url } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import { fromDer, toDer } from "./der.ts";
import type { Algorithm, Encoding } from "./types.ts";

type Sized = Pick<Algorithm, "name" | "encodings" | "signatureBytes">;

export function refuseEncoding({ name, encodings }: Sized, encoding: Encoding) {
	if (encodings.includes(encoding)) return null;
	const detail = `${name} has ${encodings.join(", ")}, not "${encoding}".`;
	return failField("encoding_unsupported", "/encoding", detail);
}

/** The text of a signature in one of the algorithm's encodings. */
export function encodeSignature(bytes: Bytes, encoding: Encoding): string {
	if (encoding === "jws") return toBase64Url(bytes);
	return toBase64(encoding === "der" ? toDer(bytes) : bytes);
}

/**
 * The signature's bytes as a Verifier takes them. A text that can be no signature of this
 * algorithm at all fails; one that is merely wrong is left for the Verifier to find.
 */
export function decodeSignature(
	algorithm: Sized,
	text: string,
	encoding: Encoding,
): Result<Bytes, Failure> {
	const { name, signatureBytes } = algorithm;
	const refused = refuseEncoding(algorithm, encoding);
	if (refused) return refused;
	const bytes = encoding === "jws" ? fromBase64Url(text) : fromBase64(text);
	if (!bytes) {
		const form = encoding === "jws" ? "base64url without padding" : "base64";
		return failField(
			"invalid_base64",
			"/signature",
			`A signature encoded as ${encoding} is ${form}.`,
		);
	}
	if (encoding === "der") {
		const rs = fromDer(bytes, (signatureBytes ?? 0) / 2);
		return rs
			? ok(rs)
			: failField(
					"malformed_signature",
					"/signature",
					`The signature is not the DER of an ${name} ECDSA-Sig-Value.`,
				);
	}
	if (signatureBytes !== null && bytes.length !== signatureBytes) {
		return failField(
			"malformed_signature",
			"/signature",
			`An ${name} signature is ${signatureBytes} bytes, not ${bytes.length}.`,
		);
	}
	return ok(bytes);
}
