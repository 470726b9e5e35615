import * as z from "zod";
import { limits } from "../limits.ts";
import { algorithmNames, keyStates } from "../model.ts";
import { publicFormats } from "../signing/types.ts";
import {
	cursor,
	fence,
	id,
	keyName,
	keyRef,
	nextCursor,
	pageSize,
	tags,
	text,
	timestamp,
	versionNumber,
	versionText,
} from "./fields.ts";

export const algorithm = z.enum(algorithmNames).meta({ id: "Algorithm" });

export const keyParams = z.strictObject({ key: keyRef });

const material = "must be a JWK (an object with `kty`) or a PEM (PKCS#8 or SPKI)";

/** A JWK as a caller sends it: further members are ignored, as RFC 7517 section 4 asks. */
const anyJwk = z
	.looseObject({ kty: z.string() }, material)
	.meta({ id: "Jwk", description: "A JSON Web Key (RFC 7517)." });

const pem = z
	.string()
	.max(limits.keyMaterialChars)
	.meta({ description: "PEM (RFC 7468): PRIVATE KEY (PKCS#8) or PUBLIC KEY (SPKI)." });

/** One of the two by its type, so that a refusal tells what is wrong with it. */
export const keyMaterial = z.union([anyJwk, pem], {
	error: (issue) =>
		typeof issue.input === "string"
			? `must be a PEM of ${limits.keyMaterialChars} characters at the most`
			: material,
});

export const createKeyBody = z.strictObject({
	name: keyName,
	algorithm,
	modulusLength: z
		.int()
		.optional()
		.meta({
			description: "RSA only, in bits; 2048 when it is left out.",
			override: { type: "integer", enum: [2048, 3072, 4096] },
		}),
	tags: tags.optional(),
});

export const importKeyBody = z.strictObject({
	name: keyName,
	algorithm,
	key: keyMaterial,
	tags: tags.optional(),
});

export const updateKeyBody = z
	.strictObject({
		name: keyName.optional(),
		tags: tags.optional(),
		minSignVersion: versionNumber.optional().meta({ description: "Older versions sign no more." }),
		minVerifyVersion: versionNumber
			.optional()
			.meta({ description: "Older versions verify no more and leave the JWKS." }),
	})
	.refine((body) => Object.keys(body).length > 0, "must change at least one field");

const dayCount = z
	.string()
	.regex(/^[0-9]{1,2}$/, "must be a whole number")
	.transform(Number)
	.refine(
		(days) => days >= limits.deletionDaysMin && days <= limits.deletionDaysMax,
		`must be from ${limits.deletionDaysMin} to ${limits.deletionDaysMax}`,
	);

/** Of every change that isolates must hear of. */
export const changeQuery = z.strictObject({ fence: fence.optional() });

export const deleteKeyQuery = z.strictObject({
	fence: fence.optional(),
	days: dayCount.optional().meta({
		description: `Days until the key is gone, ${limits.deletionDaysMin} to ${limits.deletionDaysMax}; ${limits.deletionDaysMax} when it is left out.`,
	}),
});

export const publicKeyQuery = z.strictObject({
	version: versionText.optional(),
	format: z.enum(publicFormats).default("jwk").meta({
		description: "`jwk` answers JSON, `pem` a text, `raw` the bytes themselves.",
	}),
});

const tagFilter = text(limits.tagNameChars + 1 + limits.tagValueChars);

export const listKeysQuery = z.strictObject({
	state: z.enum(keyStates).optional().meta({ description: "Only keys in this state." }),
	algorithm: algorithm.optional(),
	prefix: text(limits.keyNameChars).optional().meta({ description: "How the name begins." }),
	tag: z
		.union([tagFilter, z.array(tagFilter).max(limits.tagsPerKey)])
		.optional()
		.meta({ description: "`name:value`; may stand there several times, and all must hold." }),
	limit: pageSize.optional(),
	cursor: cursor.optional(),
});

/** A public JWK as the service answers it. */
export const publicJwk = z
	.object({
		kty: z.enum(["OKP", "EC", "RSA"]),
		crv: z.string().optional(),
		x: z.string().optional(),
		y: z.string().optional(),
		n: z.string().optional(),
		e: z.string().optional(),
	})
	.meta({ id: "PublicJwk", description: "A public JSON Web Key (RFC 7517)." });

const keySummary = z
	.object({
		id,
		name: keyName,
		algorithm,
		state: z.enum(keyStates),
		version: versionNumber.meta({ description: "The current version, which signs." }),
		minSignVersion: versionNumber,
		minVerifyVersion: versionNumber,
		hasPrivate: z
			.boolean()
			.meta({ description: "false for a key that was imported without its private half." }),
		tags,
		createdAt: timestamp,
		updatedAt: timestamp,
		deleteAt: timestamp
			.nullable()
			.meta({ description: "When a key that is pending deletion will be gone; else null." }),
	})
	.meta({ id: "KeySummary" });

export const key = keySummary
	.extend({
		publicKey: z
			.object({ jwk: publicJwk, pem: z.string() })
			.nullable()
			.meta({ description: "The current version's public half; null for HS256, which has none." }),
	})
	.meta({ id: "Key" });

export const keyPage = z.object({ keys: z.array(keySummary), nextCursor }).meta({ id: "KeyPage" });

export const jwks = z
	.object({
		keys: z.array(publicJwk.extend({ kid: z.string(), alg: z.string(), use: z.literal("sig") })),
	})
	.meta({ id: "JwkSet", description: "A JWK Set (RFC 7517 section 5)." });
