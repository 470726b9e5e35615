import * as z from "zod/mini";
import { meta } from "../lib/zod.ts";
import * as limits from "../limits.ts";
import { algorithmNames, keyStates } from "../model.ts";
import { publicFormats } from "../signing/types.ts";
import {
	cursor,
	fence,
	integerText,
	keyName,
	keyRef,
	pageSize,
	tags,
	text,
	versionNumber,
	versionText,
} from "./fields.ts";

export const algorithm = meta(z.enum(algorithmNames), { id: "Algorithm" });

export const keyParams = z.strictObject({ key: keyRef });

const chars = limits.keyMaterialChars;

/** A JWK as a caller sends it: further members are ignored, as RFC 7517 section 4 asks. */
const anyJwk = meta(
	z
		.looseObject({ kty: z.string() }, "must be a JWK, which is an object with `kty`")
		.check(
			z.refine(
				(jwk) => Object.values(jwk).every((one) => typeof one !== "string" || one.length <= chars),
				`must be a JWK whose members have ${chars} characters at the most`,
			),
		),
	{ id: "Jwk", description: "A JSON Web Key (RFC 7517)." },
);

/** One of the two by its type, so that a refusal tells what is wrong with it. */
function materialIn(blocks: string) {
	const pem = meta(
		z.string().check(z.maxLength(chars, `must be a PEM of ${chars} characters at the most`)),
		{
			description: `PEM (RFC 7468): ${blocks}.`,
		},
	);
	return z.union([anyJwk, pem], {
		error: `must be a JWK (an object with \`kty\`) or a PEM: ${blocks}`,
	});
}

const publicBlock = "PUBLIC KEY (SPKI)";
const keyMaterial = materialIn(`PRIVATE KEY (PKCS#8) or ${publicBlock}`);
export const publicKeyMaterial = materialIn(publicBlock);

export const createKeyBody = z.strictObject({
	name: keyName,
	algorithm,
	modulusLength: meta(z.optional(z.int()), {
		description: "RSA only, in bits; 2048 when it is left out.",
		override: {
			type: "integer",
			minimum: undefined, // of every integer, where nothing else is said
			maximum: undefined,
			enum: [2048, 3072, 4096],
		},
	}),
	tags: z.optional(tags),
});

export const importKeyBody = z.strictObject({
	name: keyName,
	algorithm,
	key: keyMaterial,
	tags: z.optional(tags),
});

export const updateKeyBody = meta(
	z
		.strictObject({
			name: z.optional(keyName),
			tags: z.optional(tags),
			minSignVersion: meta(z.optional(versionNumber), {
				description: "Older versions sign no more.",
			}),
			minVerifyVersion: meta(z.optional(versionNumber), {
				description: "Older versions verify no more and leave the JWKS.",
			}),
		})
		.check(z.refine((body) => Object.keys(body).length > 0, "must change at least one field")),
	{ override: { minProperties: 1 } },
);

/** Of every change that isolates must hear of. */
export const changeQuery = z.strictObject({ fence: z.optional(fence) });

export const deleteKeyQuery = z.strictObject({
	fence: z.optional(fence),
	days: meta(z.optional(integerText(limits.deletionDaysMin, limits.deletionDaysMax)), {
		description: `Days until the key is gone, ${limits.deletionDaysMin} to ${limits.deletionDaysMax}; ${limits.deletionDaysMax} when it is left out.`,
	}),
});

export const publicKeyQuery = z.strictObject({
	version: z.optional(versionText),
	format: meta(z._default(z.enum(publicFormats), "jwk"), {
		description: "`jwk` answers JSON, `pem` a text, `raw` the bytes themselves.",
	}),
});

export const listVersionsQuery = z.strictObject({
	limit: z.optional(pageSize),
	cursor: z.optional(cursor),
});

const tagFilter = text(limits.tagNameChars + 1 + limits.tagValueChars);

export const listKeysQuery = z.strictObject({
	state: meta(z.optional(z.enum(keyStates)), { description: "Only keys in this state." }),
	algorithm: z.optional(algorithm),
	prefix: meta(z.optional(text(limits.keyNameChars)), { description: "How the name begins." }),
	tag: meta(
		z
			.optional(z.union([tagFilter, z.array(tagFilter)]))
			.check(
				z.refine(
					(tags) => !Array.isArray(tags) || tags.length <= limits.tagsPerKey,
					`must stand there ${limits.tagsPerKey} times at the most`,
				),
			),
		{ description: "`name:value`; may stand there several times, and all must hold." },
	),
	limit: z.optional(pageSize),
	cursor: z.optional(cursor),
});
