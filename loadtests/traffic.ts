import { type RequestKind, type RequestShape, uniqueMark } from "./requests.ts";
import type { Traffic } from "./scenario.ts";
import type { Target } from "./target.ts";

/** What a tenant's services do all day, in parts of a hundred. */
export const everyday: Traffic = {
	sign: 70,
	verify: 15,
	jwks: 7,
	batch: 3,
	read: 3,
	list: 1,
	create: 0.9,
	update: 0.1, // each lets every isolate read the tenant's keys anew
};

const algorithms = ["Ed25519", "Ed25519", "Ed25519", "ES256"] as const;
const variants = 16;
const batchItems = 20;
const addresses = 200;

/** A message of 32 bytes in base64, another one for each number. */
export function messageOf(number: number): string {
	return Buffer.alloc(32, `message ${number} `).toString("base64");
}

/** Names that a second run on the same data does not have. */
export function nameRun(): string {
	return `load-${Date.now().toString(36)}`;
}

/** Who calls, as the platform would tell it; not where a platform does. */
export function fromAddress({ isLocal }: Target, address: string): Record<string, string> {
	return isLocal ? { "CF-Connecting-IP": address } : {};
}

interface Token {
	readonly token: string;
}

export function newToken(
	target: Target,
	name: string,
	role: "signer" | "verifier" | "auditor",
	more: Readonly<Record<string, unknown>> = {},
): Promise<Token & { readonly id: string }> {
	return target.call("POST", "/v1/tokens", { name, role, ...more });
}

/** Keys, tokens and signatures, and the kinds of `everyday` made of them. */
export async function prepareEveryday(target: Target): Promise<RequestKind[]> {
	const run = nameRun();
	const names = algorithms.map((_, index) => `${run}-${index}`);
	for (const [index, algorithm] of algorithms.entries()) {
		await target.call("POST", "/v1/keys", { name: names[index], algorithm });
	}
	const signer = await newToken(target, `${run} signer`, "signer");
	const verifier = await newToken(target, `${run} verifier`, "verifier");
	const numbers = Array.from({ length: variants }, (_, number) => number);
	const keyOf = (number: number) => `/v1/keys/${names[number % names.length]}`;
	const signatures = await Promise.all(
		numbers.map((number) =>
			target.call<{ signature: string }>("POST", `${keyOf(number)}/sign`, {
				message: messageOf(number),
			}),
		),
	);
	const post = (path: string, token: string, json: unknown): RequestShape => ({
		...{ method: "POST", path, token, json },
	});
	return [
		kind("sign", 200, numbers, (number) =>
			post(`${keyOf(number)}/sign`, signer.token, { message: messageOf(number) }),
		),
		kind("verify", 200, numbers, (number) =>
			post(`${keyOf(number)}/verify`, verifier.token, {
				message: messageOf(number),
				signature: signatures[number]?.signature,
			}),
		),
		batchKind("batch", batchItems, keyOf, signer.token),
		jwksKind(target),
		...managementKinds(target, run, keyOf),
	];
}

function kind(
	name: string,
	status: number,
	numbers: readonly number[],
	request: (number: number) => RequestShape,
): RequestKind {
	return { name, requests: numbers.map(request), expects: [status] };
}

/** A batch of so many signatures. */
export function batchKind(
	name: string,
	size: number,
	keyOf: (number: number) => string,
	token: string,
): RequestKind {
	return kind(name, 200, [0, 1, 2, 3], (number) => ({
		method: "POST",
		path: `${keyOf(number)}/sign-batch`,
		token,
		json: { items: Array.from({ length: size }, (_, item) => ({ message: messageOf(item) })) },
	}));
}

/** Verifiers all over the world, each with an address of its own. */
function jwksKind(target: Target): RequestKind {
	const path = `/t/${target.tenant}/.well-known/jwks.json`;
	const numbers = Array.from({ length: addresses }, (_, number) => number);
	return kind("jwks", 200, numbers, (number) => ({
		method: "GET",
		path,
		headers: fromAddress(target, `198.18.1.${number}`), // RFC 2544: for tests
	}));
}

/** HMAC keys are made, because they are not in the JWKS: it would grow, and each answer with it. */
function managementKinds(
	{ token }: Target,
	run: string,
	keyOf: (number: number) => string,
): RequestKind[] {
	const numbers = [0, 1, 2, 3];
	return [
		kind("read", 200, numbers, (number) => ({ method: "GET", path: keyOf(number), token })),
		kind("list", 200, [0], () => ({ method: "GET", path: "/v1/keys?limit=20", token })),
		kind("create", 201, [0], () => ({
			...{ method: "POST", path: "/v1/keys", token },
			json: { name: `${run}-made-${uniqueMark}`, algorithm: "HS256" },
		})),
		kind("update", 200, numbers, (number) => ({
			...{ method: "PATCH", path: keyOf(number), token },
			json: { tags: { changed: uniqueMark } },
		})),
	];
}
