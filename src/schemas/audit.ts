import * as z from "zod";
import { limits } from "../limits.ts";
import { cursor, id, keyRef, nextCursor, pageSize, text, timestamp } from "./fields.ts";

const time = z.iso.datetime({ offset: true }).transform((value) => Date.parse(value));

const filter = {
	key: keyRef.optional().meta({
		description: "Only what was done to this key or token: its id, or its name as it was then.",
	}),
	token: id.optional().meta({ description: "Only what was done with this token: its id." }),
	action: text(limits.auditActionChars, 1)
		.optional()
		.meta({ description: "Only this operation, by its operationId.", example: "sign" }),
	from: time.optional().meta({ description: "Not before this time.", type: "string" }),
	to: time.optional().meta({ description: "Before this time.", type: "string" }),
};

export const exportAuditQuery = z.strictObject({
	...filter,
	format: z
		.enum(["ndjson", "parquet"])
		.optional()
		.meta({ description: "What `Accept` says, else NDJSON, if it is left out." }),
});

export const listAuditQuery = z.strictObject({
	...filter,
	limit: pageSize.optional(),
	cursor: cursor.optional(),
});

export const recordParams = z.strictObject({ record: id });

const sha256 = z
	.string()
	.meta({ description: "SHA-256 in base64.", example: `${"A".repeat(43)}=` });

const record = z
	.object({
		id: id.meta({ description: "A UUID of version 7: its first 48 bits are the time." }),
		at: timestamp,
		requestId: id,
		tokenId: id.nullable().meta({ description: "Who did it; null for the service itself." }),
		action: z.string().meta({ description: "The operationId.", example: "sign" }),
		target: z
			.object({
				id: id.nullable(),
				name: z.string().nullable(),
				version: z.int().nullable(),
				algorithm: z.string().nullable(),
			})
			.meta({ description: "The key, token or configuration that it was done with or to." }),
		address: z.string().nullable().meta({ description: "Of the caller." }),
		input: z
			.object({ kind: z.enum(["message", "digest"]), sha256 })
			.nullable()
			.meta({
				description: "The digest of what was signed or verified, or of the digest that came.",
			}),
		signatureSha256: sha256.nullable().meta({ description: "Of the signature in its raw form." }),
		cost: z.number().meta({ description: "In tokens of the rate limits." }),
		outcome: z.string().meta({
			description:
				"`ok`, `invalid` for a signature that did not verify, else the code of the refusal.",
		}),
		chain: id,
		sequence: z.int().meta({ description: "Its number in the chain, from 1." }),
		link: sha256,
	})
	.meta({ id: "AuditRecord" });

export const recordPage = z.object({ records: z.array(record), nextCursor }).meta({
	id: "AuditPage",
});

export const oneRecord = record;

const jws = z.string().meta({ description: "A JWS in its compact form (RFC 7515), EdDSA." });

export const checkpoint = z
	.object({
		checkpoint: z.object({
			tenant: z.string(),
			at: timestamp,
			chains: z.array(
				z.object({
					id,
					tenant: z.string(),
					region: z.string(),
					shard: z.int(),
					sequence: z.int(),
					link: sha256,
				}),
			),
			ended: z.array(id),
			root: sha256,
		}),
		signed: jws.meta({ description: "The same, signed with the service's own key." }),
	})
	.meta({ id: "AuditCheckpoint" });

export const proof = z
	.object({
		record,
		canonical: z
			.array(z.string())
			.length(2)
			.meta({ description: "The record's canonical bytes in base64, in two parts." }),
		leaf: sha256,
		signed: jws.meta({
			description: "That this leaf stands there, signed with the service's own key.",
		}),
		path: z
			.object({
				previous: sha256.meta({ description: "The link before the record." }),
				leaves: z
					.array(sha256)
					.meta({ description: "Of the records after it, to the chain's head." }),
				checkpoint: jws,
			})
			.nullable()
			.meta({
				description:
					"Each link is SHA-256 of 0x02, the link before it and the leaf; the last one is the head in the checkpoint. null where the head is further away.",
			}),
		archived: z
			.object({
				manifest: jws.meta({ description: "Of the record's day; its `root` is that of the tree." }),
				index: z.int().meta({ description: "Of the leaf in the tree, from 0." }),
				records: z.int().meta({ description: "Leaves in the tree." }),
				hashes: z.array(sha256).meta({ description: "The audit path of RFC 6962 section 2.1.1." }),
			})
			.nullable()
			.meta({ description: "null where the record is not archived." }),
	})
	.meta({ id: "AuditProof" });

export const auditKeys = z
	.object({
		keys: z.array(
			z.object({
				kty: z.literal("OKP"),
				crv: z.literal("Ed25519"),
				x: z.string(),
				kid: z.string(),
				alg: z.literal("EdDSA"),
				use: z.literal("sig"),
			}),
		),
	})
	.meta({ id: "AuditKeys" });
