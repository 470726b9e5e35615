import type { Failure } from "../errors.ts";
import { type Bytes, equalConstantTime, fromBase64Url, toHex, utf8 } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import * as limits from "../limits.ts";
import type { PublicJwk } from "../model.ts";
import { readSequence, readUnsigned, tags, writeElement, writeUnsigned } from "./asn1.ts";
import { hasSecret, type Jwk, type JwkKind, readNumber, refuseJwk, toMembers } from "./jwk.ts";
import { readPem, refuseKey, writePublicPem } from "./keyinfo.ts";
import { type Algorithm, type KeyMaterial, rsaModulusLengths } from "./types.ts";
import {
	exportBytes,
	exportJwk,
	type Parameters,
	requireMessage,
	tryImport,
	webCryptoSigner,
	webCryptoVerifier,
} from "./webcrypto.ts";

export interface Rsa {
	readonly name: "RS256" | "PS256";
	readonly scheme: "RSASSA-PKCS1-v1_5" | "RSA-PSS";
	/** PSS has a salt as long as the hash (RFC 7518 section 3.5). */
	readonly operation: Parameters["operation"];
}

const publicMembers = ["n", "e"] as const;
const privateMembers = ["n", "e", "d", "p", "q", "dp", "dq", "qi"] as const;
type Members = Readonly<Record<(typeof publicMembers)[number], string>> &
	Partial<Readonly<Record<(typeof privateMembers)[number], string>>>;

/** rsaEncryption with its NULL (RFC 3279 section 2.3.1): the key is not bound to a scheme. */
const algorithmId = Uint8Array.from([
	0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
]);
const publicExponent = Uint8Array.of(1, 0, 1);
/** The only two that WebCrypto takes in Workers: 3 and 65537. */
const acceptedExponents = ["Aw", "AQAB"];
const [defaultModulusLength] = rsaModulusLengths;
/** By how many bits a prime may be shorter than half of the modulus. */
const primeBitsShort = 8;
/** The primes differ within as many of their highest bits. */
const primeBitsNear = 100;
const probe = utf8("pairwise consistency");

/** RSA signatures with SHA-256: PKCS #1 v1.5 (RFC 7518 section 3.3) or PSS (section 3.5). */
export function rsa({ name, scheme, operation }: Rsa): Algorithm {
	const parameters: Parameters = { key: { name: scheme, hash: "SHA-256" }, operation };
	const jwkKind: JwkKind = { name, kty: "RSA", algs: [name] };

	return {
		name,
		digestBytes: null,
		encodings: ["raw", "jws"],
		formats: ["jwk", "pem"],
		jose: name,
		symmetric: false,
		modulusLengths: rsaModulusLengths,
		// About the time it takes to find the primes, in units of 5 ms.
		generationCost: (bits = defaultModulusLength) => (bits <= 2048 ? 20 : bits <= 3072 ? 50 : 150),
		signatureBytes: null,

		async generate(modulusLength = defaultModulusLength) {
			const wanted = { ...parameters.key, modulusLength, publicExponent };
			const pair = await crypto.subtle.generateKey(wanted, true, ["sign", "verify"]);
			return materialOf((pair as CryptoKeyPair).privateKey);
		},

		async importKey(key) {
			const members = typeof key === "string" ? readPemMembers(key, name) : readJwk(key, jwkKind);
			if (!members.ok) return members;
			const publicJwk = { kty: "RSA", n: members.value.n, e: members.value.e } as const;
			const refused = refusePublic(publicJwk);
			if (refused !== null) return refuseKey(refused);
			const publicKey = await tryImportJwk(publicJwk, parameters, "verify");
			if (!publicKey) return refuseKey("The public key is not an RSA key.");
			if (members.value.d === undefined) return ok({ secret: null, publicJwk });
			const privateJwk = { kty: "RSA", ...members.value };
			const areFit = fitTogether(members.value);
			if (areFit && !areApart(members.value)) {
				return refuseKey("The primes of an RSA key must be of half its length, and far apart.");
			}
			const privateKey = areFit && (await tryImportJwk(privateJwk, parameters, "sign"));
			const secret = privateKey && (await exportBytes("pkcs8", privateKey));
			// What is stored signs, and not what was sent.
			const stored = secret && (await tryImport("pkcs8", secret, parameters, "sign"));
			if (!secret || !stored || !(await areOnePair(stored, publicKey, parameters))) {
				return refuseKey("The numbers of the private key do not belong together.");
			}
			return ok({ secret, publicJwk });
		},

		exportPem: (jwk) => writePublicPem(algorithmId, toPkcs1(jwk)),
		exportRaw: () => null,
		modulusLengthOf: (jwk) => bitLength(numberOf(jwk, "n")),

		signer(secret, kind) {
			requireMessage(name, kind);
			return webCryptoSigner("pkcs8", secret, parameters);
		},

		async verifier(key, kind) {
			requireMessage(name, kind);
			if (!("publicJwk" in key)) throw new TypeError(`${name} verifies with the public half`);
			const jwk = { ...key.publicJwk };
			const publicKey = await crypto.subtle.importKey("jwk", jwk, parameters.key, false, [
				"verify",
			]);
			return webCryptoVerifier(publicKey, parameters, numberOf(key.publicJwk, "n").length);
		},
	};
}

async function materialOf(privateKey: CryptoKey): Promise<KeyMaterial> {
	const { n, e } = await exportJwk(privateKey);
	if (n === undefined || e === undefined)
		throw new Error("WebCrypto exported an RSA key without n, e");
	return { secret: await exportBytes("pkcs8", privateKey), publicJwk: { kty: "RSA", n, e } };
}

function readJwk(jwk: Jwk, kind: JwkKind): Result<Members, Failure> {
	const refused = refuseJwk(jwk, kind);
	if (refused) return refused;
	const { oth = [] } = jwk;
	if (!Array.isArray(oth) || oth.length > 0)
		return refuseKey("An RSA key of more than two primes is not supported.");
	const numbers: Record<string, Bytes> = {};
	for (const member of hasSecret(jwk) ? privateMembers : publicMembers) {
		const number = readNumber(jwk, member);
		if (!number.ok) return number;
		numbers[member] = number.value;
	}
	return ok(toMembers(numbers) as Members);
}

/** RSAPrivateKey and RSAPublicKey of RFC 8017 appendix A.1, with the names that a JWK uses. */
function readPemMembers(pem: string, name: string): Result<Members, Failure> {
	const info = readPem(pem);
	if (!info.ok) return info;
	if (!equalConstantTime(info.value.algorithmId, algorithmId)) {
		return refuseKey(
			`For ${name} the PEM must hold an RSA key as rsaEncryption with NULL (RFC 3279): not as RSASSA-PSS, nor without.`,
		);
	}
	const isPrivate = info.value.half === "private";
	const names: readonly string[] = isPrivate ? ["version", ...privateMembers] : publicMembers;
	const elements = readSequence(info.value.key) ?? [];
	const numbers: Record<string, Bytes> = {};
	for (const [i, member] of names.entries()) {
		const number = readUnsigned(elements[i]);
		if (number) numbers[member] = number;
	}
	const { version, ...members } = numbers;
	const complete = elements.length === names.length && Object.keys(numbers).length === names.length;
	if (!complete || (isPrivate && version?.[0] !== 0)) {
		const what = isPrivate ? "RSAPrivateKey of two primes" : "RSAPublicKey";
		return refuseKey(`The PEM does not hold an ${what} (RFC 8017) in DER.`);
	}
	return ok(toMembers(members) as Members);
}

/** Why a public key is not taken, or null. */
function refusePublic(jwk: PublicJwk & { kty: "RSA" }): string | null {
	const modulus = numberOf(jwk, "n");
	const bits = bitLength(modulus);
	if (bits < limits.rsaModulusBitsMin || bits > limits.rsaModulusBitsMax) {
		return `An RSA modulus must have ${limits.rsaModulusBitsMin} to ${limits.rsaModulusBitsMax} bits, it has ${bits}.`;
	}
	if (((modulus[modulus.length - 1] ?? 0) & 1) === 0) return "An RSA modulus must be odd.";
	const known = acceptedExponents.includes(jwk.e);
	return known ? null : "The RSA public exponent must be 3 or 65537.";
}

async function tryImportJwk(
	jwk: JsonWebKey,
	parameters: Parameters,
	usage: "sign" | "verify",
): Promise<CryptoKey | null> {
	try {
		return await crypto.subtle.importKey("jwk", jwk, parameters.key, true, [usage]);
	} catch {
		return null;
	}
}

/** The equations of RFC 8017 section 3.2. Workers check them, Node does not. */
function fitTogether(members: Members): boolean {
	const [n, e, d, p, q, dp, dq, qi] = privateMembers.map((name) => toBigInt(members[name]));
	if (!n || !e || !d || !p || !q || !dp || !dq || !qi) return false;
	if (p * q !== n || p === 1n || q === 1n || d >= n) return false;
	const exponentsFit = (d * e) % (p - 1n) === 1n && (d * e) % (q - 1n) === 1n;
	return exponentsFit && d % (p - 1n) === dp && d % (q - 1n) === dq && (qi * q) % p === 1n;
}

/**
 * Whether the primes are as FIPS 186-5 (appendix A.1.3) has them: each of half the modulus' length, but for some bits,
 * and not so near to each other that a root finds them. A key that anybody can factor would be published here.
 */
function areApart(members: Members): boolean {
	const [n, p, q] = ([members.n, members.p, members.q] as const).map(toBigInt);
	if (!n || !p || !q) return false;
	const half = n.toString(2).length >> 1;
	const [least, far] = [1n << BigInt(half - primeBitsShort), 1n << BigInt(half - primeBitsNear)];
	return p >= least && q >= least && (p > q ? p - q : q - p) > far;
}

/** That p and q are primes too shows in a signature that verifies. */
async function areOnePair(
	privateKey: CryptoKey,
	publicKey: CryptoKey,
	{ operation }: Parameters,
): Promise<boolean> {
	try {
		const signature = await crypto.subtle.sign(operation, privateKey, probe);
		return await crypto.subtle.verify(operation, publicKey, signature, probe);
	} catch {
		return false;
	}
}

function toBigInt(base64Url: string | undefined): bigint | null {
	const bytes = base64Url === undefined ? null : fromBase64Url(base64Url);
	return bytes && BigInt(`0x${toHex(bytes)}`);
}

function toPkcs1(jwk: PublicJwk): Bytes {
	const n = writeUnsigned(numberOf(jwk, "n"));
	return writeElement(tags.sequence, n, writeUnsigned(numberOf(jwk, "e")));
}

function numberOf(jwk: PublicJwk, member: "n" | "e"): Bytes {
	const bytes = jwk.kty === "RSA" ? fromBase64Url(jwk[member]) : null;
	if (!bytes) throw new Error(`an RSA public key is kept as ${jwk.kty}`);
	return bytes;
}

function bitLength(number: Bytes): number {
	return number.length * 8 - (Math.clz32(number[0] ?? 0) - 24);
}
