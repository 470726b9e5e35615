import * as z from "zod";
import { limits } from "../limits.ts";
import { encodings } from "../signing/types.ts";
import { digest, id, jsonObject, message, text, versionNumber } from "./fields.ts";
import { algorithm, keyMaterial } from "./keys.ts";

const encoding = z.enum(encodings).meta({
	id: "Encoding",
	description:
		"`raw`: base64 of the fixed-length signature (r||s for ECDSA). `der`: base64 of the ASN.1 form, ECDSA only. `jws`: unpadded base64url of the raw form (RFC 7515).",
});

const input = { message: message.optional(), digest: digest.optional() };

const signature = z
	.string()
	.max(limits.signatureChars)
	.meta({ description: "In the encoding that `encoding` names; base64url is taken too." });

const reference = text(limits.referenceChars)
	.optional()
	.meta({ description: "Yours; it comes back with the item's answer." });

const version = versionNumber
	.optional()
	.meta({ description: "The version that signs; the current one when it is left out." });

export const signBody = z.strictObject({ ...input, encoding: encoding.default("raw"), version });

export const verifyBody = z.strictObject({
	...input,
	signature,
	encoding: encoding.default("raw"),
	version: version.meta({
		description: `The version that signed. Without it the newest ${limits.keyVersionsLoaded} that may verify are tried.`,
	}),
});

export const signItem = z.strictObject({ ...input, reference }).meta({ id: "SignItem" });
export const verifyItem = z
	.strictObject({ ...input, signature, reference })
	.meta({ id: "VerifyItem" });

/** Items are checked one by one, so that a bad one is an error of its own; the document names their schema. */
function batchOf(itemId: "SignItem" | "VerifyItem") {
	return z.strictObject({
		items: z
			.array(z.unknown())
			.min(1)
			.max(limits.batchItems)
			.meta({ override: { items: { $ref: `#/components/schemas/${itemId}` } } }),
		encoding: encoding.default("raw"),
		version,
	});
}

export const signBatchBody = batchOf("SignItem");
export const verifyBatchBody = batchOf("VerifyItem");

export const statelessVerifyBody = z.strictObject({
	algorithm,
	publicKey: keyMaterial,
	...input,
	signature,
	encoding: encoding.default("raw"),
});

/** Numbers that JSON's readers would change are refused rather than signed as something else. */
function keepsItsNumbers(value: unknown): boolean {
	if (typeof value === "number") {
		return Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
	}
	if (typeof value !== "object" || value === null) return true;
	return Object.values(value).every(keepsItsNumbers);
}

const jwtObject = jsonObject().refine(
	keepsItsNumbers,
	"must have no number that JSON's readers change (beyond 2^53); send it as a string",
);

/** RFC 7519 section 4.1: times are numbers of seconds. */
const times = ["exp", "nbf", "iat"] as const;

const jwtClaims = jwtObject.superRefine((claims, context) => {
	for (const name of times) {
		if (!Object.hasOwn(claims, name) || typeof claims[name] === "number") continue;
		const message = "must be a number of seconds since 1970 (RFC 7519)";
		context.addIssue({ code: "custom", path: [name], message });
	}
});

export const jwtBody = z.strictObject({
	claims: jwtClaims.meta({ description: "The payload. `iat` is added unless it is there." }),
	header: jwtObject.optional().meta({
		description: "More header members. alg, kid and what points to other keys are refused.",
	}),
	expiresIn: z
		.int()
		.min(1)
		.max(limits.jwtLifetimeSecondsMax)
		.optional()
		.meta({ description: "Seconds from now, for `exp`." }),
	version,
});

const signed = {
	signature: z.string(),
	encoding,
	keyId: id,
	version: versionNumber,
	algorithm,
	recoveryId: z
		.int()
		.min(0)
		.max(1)
		.optional()
		.meta({ description: "ES256K only: recovers the public key, as Ethereum does." }),
};

export const signAnswer = z.object(signed).meta({ id: "Signature" });

export const verifyAnswer = z
	.object({
		valid: z.boolean(),
		version: versionNumber.optional().meta({ description: "The version that verified it." }),
	})
	.meta({ id: "Verification" });

const itemError = z
	.object({ code: z.string(), detail: z.string() })
	.meta({ id: "ItemError", description: "Why this item alone failed; codes as in a problem." });

export const signBatchAnswer = z
	.object({
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
	})
	.meta({ id: "SignatureBatch" });

export const verifyBatchAnswer = z
	.object({
		results: z.array(
			z.union([
				z.object({ reference, valid: z.boolean(), version: versionNumber.optional() }),
				z.object({ reference, error: itemError }),
			]),
		),
	})
	.meta({ id: "VerificationBatch" });

export const statelessVerifyAnswer = z
	.object({ valid: z.boolean() })
	.meta({ id: "StatelessVerification" });

export const jwtAnswer = z
	.object({
		token: z.string().meta({ description: "A compact JWS (RFC 7519)." }),
		kid: z.string(),
		keyId: id,
		version: versionNumber,
		algorithm,
	})
	.meta({ id: "Jwt" });
