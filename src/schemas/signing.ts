import * as z from "zod/mini";
import { integer, meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";
import { encodings } from "../signing/types.ts";
import { digest, jsonObject, message, text, versionNumber } from "./fields.ts";
import { algorithm, publicKeyMaterial } from "./keys.ts";

export const encoding = meta(z.enum(encodings), {
	id: "Encoding",
	description:
		"`raw`: base64 of the fixed-length signature (r||s for ECDSA). `der`: base64 of the ASN.1 form, ECDSA only. `jws`: unpadded base64url of the raw form (RFC 7515).",
});

const input = { message: z.optional(message), digest: z.optional(digest) };

/** For the document: the routes themselves refuse both and neither. */
const eitherInput = { override: { oneOf: [{ required: ["message"] }, { required: ["digest"] }] } };

const signature = meta(z.string().check(z.maxLength(limits.signatureChars)), {
	description: "In the encoding that `encoding` names; base64url is taken too.",
});

export const reference = meta(z.optional(text(limits.referenceChars)), {
	description: "Yours; it comes back with the item's answer.",
});

const version = meta(z.optional(versionNumber), {
	description: "The version that signs; the current one when it is left out.",
});

const signedVersion = meta(version, {
	description: `The version that signed. Without it the newest ${limits.keyVersionsLoaded} that may verify are tried, and an answer tells when there are older ones.`,
});

export const signBody = meta(
	z.strictObject({ ...input, encoding: z._default(encoding, "raw"), version }),
	eitherInput,
);

export const verifyBody = meta(
	z.strictObject({
		...input,
		signature,
		encoding: z._default(encoding, "raw"),
		version: signedVersion,
	}),
	eitherInput,
);

export const signItem = meta(z.strictObject({ ...input, reference }), {
	id: "SignItem",
	...eitherInput,
});
export const verifyItem = meta(z.strictObject({ ...input, signature, reference }), {
	id: "VerifyItem",
	...eitherInput,
});

/** Items are checked one by one, so that a bad one is an error of its own; the document names their schema. */
function batchOf(itemId: "SignItem" | "VerifyItem", which: typeof version) {
	return z.strictObject({
		items: meta(z.array(z.unknown()).check(z.minLength(1), z.maxLength(limits.batchItems)), {
			override: { items: { $ref: `#/components/schemas/${itemId}` } },
		}),
		encoding: z._default(encoding, "raw"),
		version: which,
	});
}

export const signBatchBody = batchOf("SignItem", version);
export const verifyBatchBody = batchOf("VerifyItem", signedVersion);

export const statelessVerifyBody = meta(
	z.strictObject({
		algorithm,
		publicKey: publicKeyMaterial,
		...input,
		signature,
		encoding: z._default(encoding, "raw"),
	}),
	eitherInput,
);

type Path = PropertyKey[];

interface Ambiguity {
	readonly path: Path;
	readonly message: string;
}

/**
 * What not all of JSON's readers take for the same (RFC 7493 sections 2.1 and 2.2): an integer beyond 2^53, what no
 * double holds, half a surrogate pair. Fractions with more digits are refused where they are read (lib/json.ts).
 */
function ambiguityIn(value: unknown, path: Path = []): Ambiguity | null {
	if (typeof value === "number") {
		const isSound = Number.isInteger(value) ? Number.isSafeInteger(value) : Number.isFinite(value);
		const message =
			"must be an integer below 2^53, which all readers of JSON agree on, or a string";
		return isSound ? null : { path, message };
	}
	if (typeof value === "string") {
		return value.isWellFormed() ? null : { path, message: "must be well-formed Unicode" };
	}
	if (typeof value !== "object" || value === null) return null;
	for (const [name, member] of Object.entries(value)) {
		const at = [...path, name];
		if (!name.isWellFormed())
			return { path: at, message: "must have a name of well-formed Unicode" };
		const found = ambiguityIn(member, at);
		if (found) return found;
	}
	return null;
}

const jwtObject = jsonObject().check(
	z.superRefine((value, context) => {
		const found = ambiguityIn(value);
		if (found) context.addIssue({ code: "custom", ...found });
	}),
);

/** RFC 7515 sections 4.1.9 and 4.1.10. */
const texts = ["typ", "cty"] as const;

const jwtHeader = jwtObject.check(
	z.superRefine((header, context) => {
		for (const name of texts) {
			if (!Object.hasOwn(header, name) || typeof header[name] === "string") continue;
			context.addIssue({ code: "custom", path: [name], message: "must be a string (RFC 7515)" });
		}
	}),
);

/** RFC 7519 section 4.1: times are numbers of seconds. */
const times = ["exp", "nbf", "iat"] as const;

/** RFC 7519 sections 4.1.1, 4.1.2 and 4.1.7; `aud` is one such text or several. */
const names = ["iss", "sub", "jti"] as const;

const jwtClaims = jwtObject.check(
	z.superRefine((claims, context) => {
		for (const name of names) {
			if (!Object.hasOwn(claims, name) || typeof claims[name] === "string") continue;
			context.addIssue({ code: "custom", path: [name], message: "must be a string (RFC 7519)" });
		}
		const audience = Object.hasOwn(claims, "aud") ? [claims.aud].flat() : [];
		if (!audience.every((one) => typeof one === "string")) {
			const message = "must be a string or an array of strings (RFC 7519)";
			context.addIssue({ code: "custom", path: ["aud"], message });
		}
		for (const name of times) {
			if (!Object.hasOwn(claims, name) || typeof claims[name] === "number") continue;
			const message = "must be a number of seconds since 1970 (RFC 7519)";
			context.addIssue({ code: "custom", path: [name], message });
		}
	}),
);

export const jwtBody = z.strictObject({
	claims: meta(jwtClaims, {
		description:
			"The payload. `iat` is added unless it is there. Times are numbers of seconds, `iss`, `sub` and `jti` texts, `aud` a text or several (RFC 7519); a number has to be one that a double holds (RFC 7493).",
	}),
	header: meta(z.optional(jwtHeader), {
		description:
			"More header members. Refused are alg, kid, crit, b64, what points to other keys (jku, jwk, x5u, x5c, x5t, x5t#S256, trust_chain) and what is of encryption.",
	}),
	expiresIn: meta(z.optional(integer(1, limits.jwtLifetimeSecondsMax)), {
		description: "Seconds from now, for `exp`, which the claims must not have then.",
	}),
	version,
});
