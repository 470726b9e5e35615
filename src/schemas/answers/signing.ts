import * as z from "zod/mini";
import { integer, meta } from "../../lib/zod.ts";
import { id, versionNumber } from "../fields.ts";
import { algorithm } from "../keys.ts";
import { encoding, reference } from "../signing.ts";

const signed = {
	signature: z.string(),
	encoding,
	keyId: id,
	version: versionNumber,
	algorithm,
	recoveryId: meta(z.optional(integer(0, 1)), {
		description: "ES256K only: recovers the public key, as Ethereum does.",
	}),
};

export const signAnswer = meta(z.object(signed), { id: "Signature" });

const verified = {
	valid: z.boolean(),
	version: meta(z.optional(versionNumber), { description: "The version that verified it." }),
	oldestVersionTried: meta(z.optional(versionNumber), {
		description: "Where older versions that may verify were not tried: name the one that signed.",
	}),
};

export const verifyAnswer = meta(z.object(verified), { id: "Verification" });

const itemError = meta(z.object({ code: z.string(), detail: z.string() }), {
	id: "ItemError",
	description: "Why this item alone failed; codes as in a problem.",
});

export const signBatchAnswer = meta(
	z.object({
		keyId: id,
		version: versionNumber,
		algorithm,
		encoding,
		results: z.array(
			z.union([
				z.object({
					reference,
					signature: signed.signature,
					recoveryId: signed.recoveryId,
				}),
				z.object({ reference, error: itemError }),
			]),
		),
	}),
	{ id: "SignatureBatch" },
);

export const verifyBatchAnswer = meta(
	z.object({
		results: z.array(
			z.union([z.object({ reference, ...verified }), z.object({ reference, error: itemError })]),
		),
	}),
	{ id: "VerificationBatch" },
);

export const statelessVerifyAnswer = meta(z.object({ valid: z.boolean() }), {
	id: "StatelessVerification",
});

export const jwtAnswer = meta(
	z.object({
		token: meta(z.string(), { description: "A compact JWS (RFC 7519)." }),
		kid: z.string(),
		keyId: id,
		version: versionNumber,
		algorithm,
	}),
	{ id: "Jwt" },
);
