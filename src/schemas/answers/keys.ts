import * as z from "zod/mini";
import { meta } from "../../lib/zod.ts";
import { keyStates } from "../../model.ts";
import { id, keyName, nextCursor, tags, timestamp, versionNumber } from "../fields.ts";
import { algorithm } from "../keys.ts";

export const versionPage = meta(
	z.object({
		versions: z.array(
			z.object({
				version: versionNumber,
				createdAt: timestamp,
				maySign: meta(z.boolean(), {
					description:
						"By `minSignVersion`, where the state of the key lets it; false without its private half.",
				}),
				mayVerify: meta(z.boolean(), {
					description: "By `minVerifyVersion`, where the state of the key lets it.",
				}),
			}),
		),
		nextCursor,
	}),
	{ id: "KeyVersionPage" },
);

/** A public JWK as the service answers it. */
export const publicJwk = meta(
	z.object({
		kty: z.enum(["OKP", "EC", "RSA"]),
		crv: z.optional(z.string()),
		x: z.optional(z.string()),
		y: z.optional(z.string()),
		n: z.optional(z.string()),
		e: z.optional(z.string()),
	}),
	{ id: "PublicJwk", description: "A public JSON Web Key (RFC 7517)." },
);

const keySummary = meta(
	z.object({
		id,
		name: keyName,
		algorithm,
		state: z.enum(keyStates),
		version: meta(versionNumber, { description: "The current version, which signs." }),
		minSignVersion: versionNumber,
		minVerifyVersion: versionNumber,
		hasPrivate: meta(z.boolean(), {
			description: "false for a key that was imported without its private half.",
		}),
		tags,
		createdAt: timestamp,
		updatedAt: timestamp,
		deleteAt: meta(z.nullable(timestamp), {
			description: "When a key that is pending deletion will be gone; else null.",
		}),
	}),
	{ id: "KeySummary" },
);

export const key = meta(
	z.extend(keySummary, {
		publicKey: meta(z.nullable(z.object({ jwk: publicJwk, pem: z.string() })), {
			description: "The current version's public half; null for HS256, which has none.",
		}),
	}),
	{ id: "Key" },
);

export const keyPage = meta(z.object({ keys: z.array(keySummary), nextCursor }), { id: "KeyPage" });

export const jwks = meta(
	z.object({
		keys: z.array(z.extend(publicJwk, { kid: z.string(), alg: z.string(), use: z.literal("sig") })),
	}),
	{ id: "JwkSet", description: "A JWK Set (RFC 7517 section 5)." },
);
