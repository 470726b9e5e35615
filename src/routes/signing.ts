import type * as z from "zod/mini";
import type { Deed } from "../audit/deed.ts";
import type { Target } from "../audit/record.ts";
import { type ErrorCode, type Failure, fail } from "../errors.ts";
import type { Bytes } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import * as limits from "../limits.ts";
import { operations } from "../ratelimit/policy.ts";
import * as answers from "../schemas/answers/signing.ts";
import { keyParams } from "../schemas/keys.ts";
import * as schema from "../schemas/signing.ts";
import { reservedHeader, signJwt as signToken } from "../signing/jwt.ts";
import * as signing from "../signing/sign.ts";
import { verifyStateless as verifyWithPublicKey } from "../signing/stateless.ts";
import type { Input } from "../signing/types.ts";
import { check } from "./input.ts";
import { type Docs, route } from "./route.ts";

const inputFailures = [
	"invalid_base64",
	"message_too_large",
	"digest_unsupported",
	"invalid_digest_length",
	"encoding_unsupported",
] as const satisfies readonly ErrorCode[];

const useFailures = [
	"key_not_found",
	"key_out_of_scope",
	"key_disabled",
	"key_pending_deletion",
	"version_not_found",
	"version_below_minimum",
] as const satisfies readonly ErrorCode[];

const hello = "aGVsbG8=";
const someSignature = `${"A".repeat(86)}==`;

export const sign = route(
	{
		method: "post",
		path: "/v1/keys/{key}/sign",
		id: "sign",
		tag: "Signing",
		permission: "sign",
		params: keyParams,
		body: schema.signBody,
		maxBodyBytes: limits.bodyBytesSign,
	},
	async ({ services, caller, params, body }) => {
		const input = toInput(body);
		if (!input.ok) return input;
		const { encoding, version } = body;
		const signed = await signing.sign(services, caller, params.key, {
			input: input.value,
			encoding,
			version,
		});
		if (!signed.ok) return signed;
		const { answer, keyName, bytes } = signed.value;
		const item = { number: 0, outcome: "ok", input: input.value, signature: bytes };
		return ok({ json: answer, deed: { target: keyTarget(answer, keyName), items: [item], of: 1 } });
	},
);

export const verify = route(
	{
		method: "post",
		path: "/v1/keys/{key}/verify",
		id: "verify",
		tag: "Signing",
		permission: "verify",
		params: keyParams,
		body: schema.verifyBody,
		maxBodyBytes: limits.bodyBytesSign,
	},
	async ({ services, caller, params, body }) => {
		const input = toInput(body);
		if (!input.ok) return input;
		const { signature, encoding, version } = body;
		const verified = await signing.verify(services, caller, params.key, {
			input: input.value,
			signature,
			encoding,
			version,
		});
		if (!verified.ok) return verified;
		const { answer } = verified.value;
		const given = [{ ok: true, value: { input: input.value } }] as const;
		return ok({ json: answer, deed: failedDeed(given, [verified], version) });
	},
);

export const signBatch = route(
	{
		method: "post",
		path: "/v1/keys/{key}/sign-batch",
		id: "signBatch",
		tag: "Signing",
		permission: "sign",
		cost: ({ items }) => items.length * operations.sign.cost,
		params: keyParams,
		body: schema.signBatchBody,
		maxBodyBytes: limits.bodyBytesBatch,
	},
	async ({ services, caller, params, body }) => {
		const items = body.items.map((item) => readItem(schema.signItem, item));
		const { encoding, version } = body;
		const inputs = items.map(({ value }) => (value.ok ? toInput(value.value) : value));
		const request = { items: inputs, encoding, version };
		const signed = await signing.signBatch(services, caller, params.key, request);
		if (!signed.ok) return signed;
		const { key, keyName, answers } = signed.value;
		const results = answers.map((answer, index) => {
			const { reference } = items[index] ?? {};
			if (!answer.ok) return { reference, error: toItemError(answer.error) };
			const { signature, recoveryId } = answer.value.answer;
			return { reference, signature, recoveryId };
		});
		const made = answers.flatMap((answer, number) => {
			const input = inputs[number];
			if (!answer.ok || !input?.ok) return [];
			return [{ number, outcome: "ok", input: input.value, signature: answer.value.bytes }];
		});
		const deed = { target: keyTarget(key, keyName), items: made, of: items.length };
		return ok({ json: { ...key, encoding, results }, deed });
	},
);

export const verifyBatch = route(
	{
		method: "post",
		path: "/v1/keys/{key}/verify-batch",
		id: "verifyBatch",
		tag: "Signing",
		permission: "verify",
		cost: ({ items }) => items.length * operations.verify.cost,
		params: keyParams,
		body: schema.verifyBatchBody,
		maxBodyBytes: limits.bodyBytesBatch,
	},
	async ({ services, caller, params, body }) => {
		const items = body.items.map((item) => readItem(schema.verifyItem, item));
		const { encoding, version } = body;
		const given = items.map(({ value }) => (value.ok ? toSigned(value.value) : value));
		const request = { items: given, encoding, version };
		const verified = await signing.verifyBatch(services, caller, params.key, request);
		if (!verified.ok) return verified;
		const results = verified.value.map((answer, index) => {
			const { reference } = items[index] ?? {};
			return answer.ok
				? { reference, ...answer.value.answer }
				: { reference, error: toItemError(answer.error) };
		});
		return ok({ json: { results }, deed: failedDeed(given, verified.value, version) });
	},
);

export const signJwt = route(
	{
		method: "post",
		path: "/v1/keys/{key}/jwt",
		id: "signJwt",
		tag: "Signing",
		permission: "sign",
		params: keyParams,
		body: schema.jwtBody,
	},
	async ({ services, caller, params, body }) => {
		const reserved = reservedHeader.find((name) => Object.hasOwn(body.header ?? {}, name));
		if (reserved) {
			const detail = `The header member "${reserved}" is not taken: the service decides on it.`;
			const pointer = `/header/${reserved}`;
			return fail("invalid_request", detail, [{ pointer, code: "invalid_request", detail }]);
		}
		const signed = await signToken(services, caller, params.key, body);
		if (!signed.ok) return signed;
		const { answer, keyName, input: bytes, bytes: signature } = signed.value;
		const input = { kind: "message", bytes } as const;
		const items = [{ number: 0, outcome: "ok", input, signature }];
		return ok({ json: answer, deed: { target: keyTarget(answer, keyName), items, of: 1 } });
	},
);

export const verifyStateless = route(
	{
		method: "post",
		path: "/v1/verify",
		id: "verifyStateless",
		tag: "Signing",
		permission: "verify",
		body: schema.statelessVerifyBody,
		maxBodyBytes: limits.bodyBytesSign,
	},
	async ({ body }) => {
		const input = toInput(body);
		if (!input.ok) return input;
		const { algorithm, publicKey, signature, encoding } = body;
		const request = { input: input.value, signature, encoding };
		const verified = await verifyWithPublicKey(algorithm, publicKey, request);
		if (!verified.ok) return verified;
		const { valid, bytes } = verified.value;
		const item = { number: 0, outcome: "invalid", input: input.value, signature: bytes };
		const target = { id: null, name: "", version: 0, algorithm };
		return ok({ json: { valid }, deed: { target, items: valid ? [] : [item], of: 1 } });
	},
);

interface ShownKey {
	readonly keyId: string;
	readonly version: number;
	readonly algorithm: string;
}

function keyTarget({ keyId: id, version, algorithm }: ShownKey, name: string): Target {
	return { id, name, version, algorithm };
}

/** The signatures that did not verify: of a verification nothing else is recorded. */
function failedDeed(
	given: readonly Result<{ readonly input: Input }, Failure>[],
	answers: readonly Result<signing.Verified, Failure>[],
	version: number | undefined,
): Deed {
	const key = answers.find((answer) => answer.ok)?.value.key;
	const { id = null, name = "", algorithm = "" } = key ?? {};
	const items = answers.flatMap((answer, number) => {
		const item = given[number];
		if (!answer.ok || answer.value.answer.valid || !item?.ok) return [];
		const { input } = item.value;
		return [{ number, outcome: "invalid", input, signature: answer.value.bytes }];
	});
	return { target: { id, name, version: version ?? 0, algorithm }, items, of: answers.length };
}

interface MessageOrDigest {
	readonly message?: Bytes | undefined;
	readonly digest?: Bytes | undefined;
}

/** One of the two must be there, and not both. */
function toInput({ message, digest }: MessageOrDigest): Result<Input, Failure> {
	if (message && !digest) return ok({ kind: "message", bytes: message });
	if (digest && !message) return ok({ kind: "digest", bytes: digest });
	const detail = `Send "message" or "digest", ${message ? "not both" : "one of the two"}.`;
	return fail("invalid_request", detail, [
		{ pointer: "/message", code: "invalid_request", detail },
	]);
}

function toSigned(
	item: MessageOrDigest & { readonly signature: string },
): Result<{ input: Input; signature: string }, Failure> {
	const input = toInput(item);
	return input.ok ? ok({ input: input.value, signature: item.signature }) : input;
}

/** An item with its reference, which comes back even when the rest of the item is wrong. */
function readItem<T>(itemSchema: z.ZodMiniType<T>, item: unknown) {
	return { reference: referenceOf(item), value: check(itemSchema, item) };
}

/** Whole as it came; one that no item may have is left out, since not every reader could read it. */
function referenceOf(item: unknown): string | undefined {
	if (typeof item !== "object" || item === null || !("reference" in item)) return undefined;
	const reference = check(schema.reference, item.reference);
	return reference.ok ? reference.value : undefined;
}

function toItemError({ code, detail }: Failure) {
	return { code, detail };
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function signingDocs() {
	return {
		sign: {
			summary: "Sign a message or a digest",
			answer: { description: "The signature", schema: answers.signAnswer },
			failures: [...inputFailures, ...useFailures, "key_public_only"],
			examples: [
				{ params: { key: "payments" }, body: { message: hello } },
				{ params: { key: "payments" }, body: { message: hello, encoding: "jws", version: 1 } },
			],
		},
		verify: {
			summary: "Verify a signature",
			description:
				"A well-formed signature that is wrong is an answer, `valid: false`, not an error.",
			answer: { description: "Whether it is valid", schema: answers.verifyAnswer },
			failures: [...inputFailures, ...useFailures, "malformed_signature"],
			examples: [
				{ params: { key: "payments" }, body: { message: hello, signature: someSignature } },
			],
		},
	} as const satisfies Docs;
}

/** For the OpenAPI document alone, as well. */
export function batchDocs() {
	return {
		signBatch: {
			summary: "Sign up to 1,000 items",
			description:
				"Answers stand in the order of the items. An item that can not be signed has an error in its place.",
			answer: { description: "The signatures", schema: answers.signBatchAnswer },
			failures: [...useFailures, "encoding_unsupported", "key_public_only"],
			examples: [
				{
					params: { key: "payments" },
					body: {
						items: [
							{ message: hello, reference: "order-1" },
							{ message: "d29ybGQ=", reference: "order-2" },
						],
					},
				},
			],
		},
		verifyBatch: {
			summary: "Verify up to 1,000 items",
			answer: { description: "Which are valid", schema: answers.verifyBatchAnswer },
			failures: [...useFailures, "encoding_unsupported", "too_many_verifications"],
			examples: [
				{
					params: { key: "payments" },
					body: { items: [{ message: hello, signature: someSignature, reference: "order-1" }] },
				},
			],
		},
	} as const satisfies Docs;
}

/** For the OpenAPI document alone, as well. */
export function furtherSigningDocs() {
	return {
		signJwt: {
			summary: "Sign claims as a JWT",
			description:
				"A compact JWS whose `kid` is in the tenant's JWKS, but for HS256: a secret is not published.",
			answer: { description: "The token", schema: answers.jwtAnswer },
			failures: [...useFailures, "key_public_only", "algorithm_unsupported"],
			examples: [
				{
					params: { key: "payments" },
					body: { claims: { sub: "user-1", aud: "https://api.example.com" }, expiresIn: 300 },
				},
			],
		},
		verifyStateless: {
			summary: "Verify with a public key of your own",
			description:
				"Nothing of the key is kept. What does not verify is on record, as with a key that is kept.",
			answer: {
				description: "Whether it is valid",
				schema: answers.statelessVerifyAnswer,
			},
			failures: [
				...inputFailures,
				"invalid_key_material",
				"malformed_signature",
				"algorithm_unsupported",
			],
			examples: [
				{
					// RFC 8032 section 7.1, test 2.
					body: {
						algorithm: "Ed25519",
						publicKey: {
							kty: "OKP",
							crv: "Ed25519",
							x: "PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw",
						},
						message: "cg==",
						signature:
							"kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2MOHsurrQwKu6wDSkWErsMAA==",
					},
				},
			],
		},
	} as const satisfies Docs;
}
