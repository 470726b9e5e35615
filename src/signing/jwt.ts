import type { Caller } from "../auth/tokens.ts";
import { type Failure, fail, failField } from "../errors.ts";
import { type Bytes, toBase64Url, utf8 } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import type { PublicJwk } from "../model.ts";
import { type LoadServices, loadUsableKey, signerOf } from "./loaded.ts";
import { signingVersion } from "./sign.ts";

export interface JwtRequest {
	readonly claims: Readonly<Record<string, unknown>>;
	/** More header members; never those that say how to verify (reservedHeader). */
	readonly header?: Readonly<Record<string, unknown>> | undefined;
	/** Seconds from now; sets `exp`. */
	readonly expiresIn?: number | undefined;
	readonly version?: number | undefined;
}

export interface JwtAnswer {
	readonly token: string;
	readonly kid: string;
	readonly keyId: string;
	readonly version: number;
	readonly algorithm: string;
}

/** A JWT as it is answered, and what else the audit log wants to know of it. */
export interface SignedJwt {
	readonly answer: JwtAnswer;
	readonly keyName: string;
	/** What was signed (RFC 7515 section 5.1), and the signature in its raw form. */
	readonly input: Bytes;
	readonly bytes: Bytes;
}

/**
 * Header members that the service sets, or that would turn a verifier to another key (RFC 7515 section 4.1, OpenID
 * Federation 1.0 section 4), and those of encryption (RFC 7518 section 4), which this is none.
 */
export const reservedHeader = [
	"alg",
	"kid",
	"jku",
	"jwk",
	"x5u",
	"x5c",
	"x5t",
	"x5t#S256",
	"crit",
	"b64",
	"trust_chain",
	"zip",
	"enc",
	"epk",
	"apu",
	"apv",
	"iv",
	"tag",
	"p2s",
	"p2c",
];

/** A JWT as a compact JWS (RFC 7519, RFC 7515 section 3.1). `iat` is set unless the claims have it. */
export async function signJwt(
	services: LoadServices,
	caller: Caller,
	ref: string,
	request: JwtRequest,
): Promise<Result<SignedJwt, Failure>> {
	const key = await loadUsableKey(services, caller, ref);
	if (!key.ok) return key;
	const { algorithm, row } = key.value;
	if (algorithm.jose === null) {
		return fail("algorithm_unsupported", `JOSE has no algorithm for ${algorithm.name}.`);
	}
	const version = await signingVersion(services, key.value, request.version);
	if (!version.ok) return version;
	const signer = await signerOf(services, key.value, version.value, "message");
	if (!signer.ok) return signer;

	const kid = keyIdOf(row.id, version.value.version);
	const header = { typ: "JWT", ...request.header, alg: algorithm.jose, kid };
	const { claims: own, expiresIn } = request;
	if (expiresIn !== undefined && Object.hasOwn(own, "exp")) {
		return failField("invalid_request", "/expiresIn", "Send this or the claim exp, not both.");
	}
	const now = Math.floor(services.clock() / 1000);
	const lifetime = expiresIn === undefined ? {} : { exp: now + expiresIn };
	const claims = { iat: now, ...own, ...lifetime };
	const signed = `${base64UrlJson(header)}.${base64UrlJson(claims)}`;
	const input = utf8(signed);
	const { bytes } = await signer.value(input);
	const answer = {
		token: `${signed}.${toBase64Url(bytes)}`,
		kid,
		keyId: row.id,
		version: version.value.version,
		algorithm: algorithm.name,
	};
	return ok({ answer, keyName: row.name, input, bytes });
}

/** `kid` of a version: in the header of what it signs and in the JWKS. */
export function keyIdOf(id: string, version: number): string {
	return `${id}.${version}`;
}

/** A public key as it stands in a JWKS (RFC 7517). */
export function toJwksKey(jwk: PublicJwk, kid: string, alg: string) {
	return { ...jwk, kid, alg, use: "sig" };
}

function base64UrlJson(value: object): string {
	return toBase64Url(utf8(JSON.stringify(value)));
}
