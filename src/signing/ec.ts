import type { Failure } from "../errors.ts";
import { type Bytes, concat, equalConstantTime, fromBase64Url } from "../lib/bytes.ts";
import { ok, type Result } from "../lib/result.ts";
import type { AlgorithmName, EcCurve, PublicJwk } from "../model.ts";
import { readExplicitBits, readSequence, readSmall, tags, writeElement } from "./asn1.ts";
import { hasSecret, type Jwk, type JwkKind, readMember, refuseJwk, toMembers } from "./jwk.ts";
import {
	type KeyInfo,
	readPem,
	readPrivateKeyInfo,
	refuseKey,
	refusePair,
	writePrivateKeyInfo,
	writePublicPem,
} from "./keyinfo.ts";

export interface Curve {
	readonly name: EcCurve;
	/** Length of a coordinate, and of a scalar, in bytes. */
	readonly coordinateBytes: number;
	/** Body of the AlgorithmIdentifier: id-ecPublicKey and the curve's OID (RFC 5480 section 2.1.1). */
	readonly algorithmId: Bytes;
}

const idEcPublicKey = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const secgCurve = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00];
const ansiPrimeCurve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01];

export const curves: Readonly<Record<EcCurve, Curve>> = {
	"P-256": curve("P-256", 32, [...ansiPrimeCurve, 7]),
	"P-384": curve("P-384", 48, [...secgCurve, 34]),
	"P-521": curve("P-521", 66, [...secgCurve, 35]),
	secp256k1: curve("secp256k1", 32, [...secgCurve, 10]),
};

/** The numbers of an EC key as some text gave them; nothing is known yet of whether they fit. */
export interface EcKey {
	readonly scalar: Bytes | null;
	/** SEC 1 encoding, compressed or not. */
	readonly point: Bytes | null;
}

export interface EcKind extends JwkKind {
	readonly curve: Curve;
	/** A JWK without "y" is a point named by its x alone (BIP-340). */
	readonly xOnly: boolean;
}

export function ecKind(
	name: AlgorithmName,
	curve: Curve,
	algs: readonly string[],
	xOnly = false,
): EcKind {
	return { name, kty: "EC", crv: curve.name, algs, curve, xOnly };
}

/** Reads a JWK or PEM; a private key comes with its point where the text has it. */
export function readEcKey(key: string | Jwk, kind: EcKind): Result<EcKey, Failure> {
	if (typeof key !== "string") return readEcJwk(key, kind);
	const info = readPem(key);
	return info.ok ? readEcInfo(info.value, kind) : info;
}

/** PKCS#8 with no more than the scalar in its ECPrivateKey (RFC 5915 section 3). */
export function toPkcs8(curve: Curve, scalar: Bytes): Bytes {
	const version = writeElement(tags.integer, Uint8Array.of(1));
	const privateKey = writeElement(tags.octetString, scalar);
	return writePrivateKeyInfo(curve.algorithmId, writeElement(tags.sequence, version, privateKey));
}

/** The scalar in a PKCS#8 that this service made. */
export function scalarOf(pkcs8: Bytes, curve: Curve): Bytes {
	const info = readPrivateKeyInfo(pkcs8);
	const scalar = info && readEcPrivateKey(info.key, curve)?.scalar;
	if (!scalar) throw new Error(`a ${curve.name} secret is not PKCS#8`);
	return scalar;
}

/** An uncompressed point as a JWK. */
export function toEcJwk(curve: Curve, point: Bytes): PublicJwk {
	const end = 1 + curve.coordinateBytes;
	const members = toMembers({ x: point.subarray(1, end), y: point.subarray(end) });
	return { kty: "EC", crv: curve.name, ...members };
}

/** The uncompressed point of a JWK that this service made. */
export function pointOf(jwk: PublicJwk): Bytes {
	const x = jwk.kty === "EC" ? fromBase64Url(jwk.x) : null;
	const y = jwk.kty === "EC" ? fromBase64Url(jwk.y) : null;
	if (!x || !y) throw new Error(`an EC public key is kept as ${jwk.kty}`);
	return concat(Uint8Array.of(4), x, y);
}

export function toEcPem(curve: Curve, jwk: PublicJwk): string {
	return writePublicPem(curve.algorithmId, pointOf(jwk));
}

function readEcJwk(jwk: Jwk, kind: EcKind): Result<EcKey, Failure> {
	const refused = refuseJwk(jwk, kind);
	if (refused) return refused;
	const { coordinateBytes } = kind.curve;
	const x = readMember(jwk, "x", coordinateBytes);
	if (!x.ok) return x;
	const xOnly = kind.xOnly && jwk.y === undefined;
	const y = xOnly ? ok(new Uint8Array(0)) : readMember(jwk, "y", coordinateBytes);
	if (!y.ok) return y;
	const point = concat(Uint8Array.of(xOnly ? 2 : 4), x.value, y.value);
	if (!hasSecret(jwk)) return ok({ scalar: null, point });
	const scalar = readMember(jwk, "d", coordinateBytes);
	return scalar.ok ? ok({ scalar: scalar.value, point }) : scalar;
}

function readEcInfo(info: KeyInfo, { name, curve }: EcKind): Result<EcKey, Failure> {
	if (!equalConstantTime(info.algorithmId, curve.algorithmId)) {
		return refuseKey(
			`For ${name} the PEM must hold an EC key that names its curve ${curve.name}, and not its parameters.`,
		);
	}
	if (info.half === "public") {
		return isPoint(info.key, curve)
			? ok({ scalar: null, point: info.key })
			: refuseKey(`The PEM's public key is not a point of ${curve.name} in its SEC 1 form.`);
	}
	const key = readEcPrivateKey(info.key, curve);
	if (!key) return refuseKey(`The PEM does not hold an ECPrivateKey (RFC 5915) on ${curve.name}.`);
	for (const point of [key.point, info.publicKey]) {
		if (point && !isPoint(point, curve)) {
			return refuseKey(`The PEM's public half is not a point of ${curve.name} in its SEC 1 form.`);
		}
	}
	if (key.point && info.publicKey && !isSamePoint(key.point, info.publicKey, curve)) {
		return refusePair();
	}
	return ok({ scalar: key.scalar, point: key.point ?? info.publicKey });
}

function readEcPrivateKey(der: Bytes, curve: Curve): EcKey | null {
	const elements = readSequence(der);
	if (!elements) return null;
	const [version, scalar, ...rest] = elements;
	if (readSmall(version) !== 1 || scalar?.tag !== tags.octetString) return null;
	const secret = toLength(scalar.body, curve.coordinateBytes);
	if (!secret) return null;
	const named = rest[0]?.tag === tags.context0 ? rest.shift() : undefined;
	const curveOid = curve.algorithmId.subarray(idEcPublicKey.length);
	if (named && !equalConstantTime(named.body, curveOid)) return null;
	const carried = rest.shift();
	if (rest.length > 0) return null;
	if (!carried) return { scalar: secret, point: null };
	const point = readExplicitBits(carried);
	return point && { scalar: secret, point };
}

/** A number of so many bytes: some writers leave out its zeros, or put more before it, against RFC 5915 section 3. */
function toLength(bytes: Bytes, length: number): Bytes | null {
	const excess = bytes.length - length;
	if (excess === 0) return bytes; // and no copy of a secret, which nobody would wipe
	if (excess < 0) return concat(new Uint8Array(-excess), bytes);
	return bytes.subarray(0, excess).every((byte) => byte === 0) ? bytes.subarray(excess) : null;
}

/** Whether the bytes have the form of a point. Whether it is on the curve, the arithmetic says. */
function isPoint(bytes: Bytes, curve: Curve): boolean {
	const [form] = bytes;
	if (form === 4) return bytes.length === 1 + 2 * curve.coordinateBytes;
	return (form === 2 || form === 3) && bytes.length === 1 + curve.coordinateBytes;
}

/** Of two in either form. A compressed one has the last bit of its y in its first byte. */
function isSamePoint(a: Bytes, b: Bytes, { coordinateBytes }: Curve): boolean {
	if (a[0] === b[0]) return equalConstantTime(a, b);
	const [one, other] = [a, b].map((point) => {
		const last = point[0] === 4 ? point[point.length - 1] : point[0];
		return concat(Uint8Array.of((last ?? 0) & 1), point.subarray(1, 1 + coordinateBytes));
	});
	return one !== undefined && other !== undefined && equalConstantTime(one, other);
}

function curve(name: EcCurve, coordinateBytes: number, oid: readonly number[]): Curve {
	return { name, coordinateBytes, algorithmId: Uint8Array.from([...idEcPublicKey, ...oid]) };
}
