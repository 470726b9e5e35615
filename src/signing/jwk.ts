import type { Failure } from "../errors.ts";
import { type Bytes, fromBase64Url, toBase64Url } from "../lib/bytes.ts";
import { type Err, ok, type Result } from "../lib/result.ts";
import type { AlgorithmName, EcCurve, PublicJwk } from "../model.ts";
import { refuseKey } from "./keyinfo.ts";

export type Jwk = Readonly<Record<string, unknown>>;

/** What a JWK must say of itself to be a key for one algorithm. */
export interface JwkKind {
	readonly name: AlgorithmName;
	readonly kty: "OKP" | "EC" | "RSA" | "oct";
	readonly crv?: "Ed25519" | EcCurve;
	/** The values of `alg` that mean this algorithm; empty where JOSE has none. */
	readonly algs: readonly string[];
}

/**
 * Whether the members that say what a JWK is for (RFC 7517 sections 4.1 to 4.4) allow this
 * algorithm. Members that are not known are ignored (RFC 7517 section 4).
 */
export function refuseJwk(jwk: Jwk, kind: JwkKind): Err<Failure> | null {
	const { name, kty, crv, algs } = kind;
	if (jwk.kty !== kty) return refuseKey(`For ${name} the JWK's "kty" must be "${kty}".`);
	if (crv !== undefined && jwk.crv !== crv) {
		return refuseKey(`For ${name} the JWK's "crv" must be "${crv}".`);
	}
	if (jwk.alg !== undefined && !algs.some((alg) => alg === jwk.alg)) {
		const may = algs.length === 0 ? "left out" : `${algs.map((alg) => `"${alg}"`).join(" or ")}`;
		return refuseKey(`For ${name} the JWK's "alg" must be ${may}.`);
	}
	if (jwk.use !== undefined && jwk.use !== "sig") {
		return refuseKey(`The JWK's "use" must be "sig" where it is given.`);
	}
	const operation = hasSecret(jwk) ? "sign" : "verify";
	if (jwk.key_ops === undefined) return null;
	const allowed = Array.isArray(jwk.key_ops) && jwk.key_ops.includes(operation);
	return allowed ? null : refuseKey(`The JWK's "key_ops" must list "${operation}".`);
}

const secretMembers = ["d", "k"];
/** Each of them gives the key away; all of them are members of an RSA key alone. */
const rsaSecretMembers = ["d", "p", "q", "dp", "dq", "qi"];

/** Whether the JWK holds a private or symmetric key, or a part of one. */
export function hasSecret(jwk: Jwk): boolean {
	const members = jwk.kty === "RSA" ? rsaSecretMembers : secretMembers;
	return members.some((member) => jwk[member] !== undefined);
}

/** A member of a fixed length. */
export function readMember(jwk: Jwk, member: string, byteCount: number): Result<Bytes, Failure> {
	const bytes = readText(jwk, member);
	if (!bytes.ok || bytes.value.length === byteCount) return bytes;
	const found = bytes.value.length;
	return refuseKey(`The JWK's "${member}" must be ${byteCount} bytes, it has ${found}.`);
}

/** A member that is a positive number in its shortest form: Base64urlUInt of RFC 7518 section 2. */
export function readNumber(jwk: Jwk, member: string): Result<Bytes, Failure> {
	const bytes = readText(jwk, member);
	if (!bytes.ok || (bytes.value[0] ?? 0) !== 0) return bytes;
	return refuseKey(`The JWK's "${member}" must be a number that does not start with a zero byte.`);
}

export function readText(jwk: Jwk, member: string): Result<Bytes, Failure> {
	const text = jwk[member];
	if (text === undefined) return refuseKey(`The JWK has no "${member}".`);
	const bytes = typeof text === "string" ? fromBase64Url(text) : null;
	return bytes ? ok(bytes) : refuseKey(`The JWK's "${member}" must be base64url without padding.`);
}

/** The members as JSON takes them. */
export function toMembers<Name extends string>(bytes: Readonly<Record<Name, Bytes>>) {
	const members = Object.entries<Bytes>(bytes).map(([name, value]) => [name, toBase64Url(value)]);
	return Object.fromEntries(members) as Record<Name, string>;
}

/** Whether two canonical public keys are the same one. */
export function samePublic(a: PublicJwk, b: PublicJwk | null): boolean {
	return JSON.stringify(a) === JSON.stringify(b);
}
