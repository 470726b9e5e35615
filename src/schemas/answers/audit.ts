import * as z from "zod/mini";
import { meta } from "../../lib/zod.ts";
import { id, nextCursor, timestamp } from "../fields.ts";

const sha256 = meta(z.string(), {
	description: "SHA-256 in base64.",
	example: `${"A".repeat(43)}=`,
});

const record = meta(
	z.object({
		id: meta(id, { description: "A UUID of version 7: its first 48 bits are the time." }),
		at: timestamp,
		requestId: id,
		tokenId: meta(z.nullable(id), { description: "Who did it; null for the service itself." }),
		action: meta(z.string(), { description: "The operationId.", example: "sign" }),
		target: meta(
			z.object({
				id: z.nullable(id),
				name: z.nullable(z.string()),
				version: z.nullable(z.int()),
				algorithm: z.nullable(z.string()),
			}),
			{ description: "The key, token or configuration that it was done with or to." },
		),
		address: meta(z.nullable(z.string()), { description: "Of the caller." }),
		input: meta(z.nullable(z.object({ kind: z.enum(["message", "digest"]), sha256 })), {
			description: "The digest of what was signed or verified, or of the digest that came.",
		}),
		signatureSha256: meta(z.nullable(sha256), { description: "Of the signature in its raw form." }),
		cost: meta(z.number(), { description: "In tokens of the rate limits." }),
		outcome: meta(z.string(), {
			description:
				"`ok`, `invalid` for a signature that did not verify, else the code of the refusal.",
		}),
		chain: id,
		sequence: meta(z.int(), { description: "Its number in the chain, from 1." }),
		link: sha256,
	}),
	{ id: "AuditRecord" },
);

export const recordPage = meta(z.object({ records: z.array(record), nextCursor }), {
	id: "AuditPage",
});

export const oneRecord = record;

const jws = meta(z.string(), { description: "A JWS in its compact form (RFC 7515), EdDSA." });

export const checkpoint = meta(
	z.object({
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
			ended: meta(z.array(id), { description: "Chains whose object was lost." }),
			unknown: meta(z.array(id), {
				description: "Chains that stand in Postgres, and that nobody else knows of.",
			}),
			root: sha256,
		}),
		signed: meta(jws, { description: "The same, signed with the service's own key." }),
	}),
	{ id: "AuditCheckpoint" },
);

export const proof = meta(
	z.object({
		record,
		canonical: meta(z.array(z.string()).check(z.length(2)), {
			description: "The record's canonical bytes in base64, in two parts.",
		}),
		leaf: sha256,
		signed: meta(z.nullable(jws), {
			description:
				"That this leaf stands there, signed with the service's own key. null where that could not be checked against what is not in Postgres: records beside it in its chain are gone, or too far away.",
		}),
		path: meta(
			z.nullable(
				z.object({
					previous: meta(sha256, { description: "The link before the record." }),
					leaves: meta(z.array(sha256), {
						description: "Of the records after it, to the chain's head.",
					}),
					checkpoint: jws,
				}),
			),
			{
				description:
					"Each link is SHA-256 of 0x02, the link before it and the leaf; the last one is the head in the checkpoint. null where the head is further away.",
			},
		),
		archived: meta(
			z.nullable(
				z.object({
					manifest: meta(jws, {
						description: "Of the record's day; its `root` is that of the tree.",
					}),
					index: meta(z.int(), { description: "Of the leaf in the tree, from 0." }),
					records: meta(z.int(), { description: "Leaves in the tree." }),
					hashes: meta(z.array(sha256), {
						description: "The audit path of RFC 6962 section 2.1.1.",
					}),
				}),
			),
			{ description: "null where the record is not archived." },
		),
	}),
	{ id: "AuditProof" },
);

export const auditKeys = meta(
	z.object({
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
	}),
	{ id: "AuditKeys" },
);
