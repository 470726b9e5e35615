import { type Failure, fail } from "../errors.ts";
import { type Bytes, fromBase64, toBase64 } from "../lib/bytes.ts";
import { type Err, ok, type Result } from "../lib/result.ts";
import {
	type Element,
	readBits,
	readExplicitBits,
	readSequence,
	readSmall,
	tags,
	writeBits,
	writeElement,
} from "./asn1.ts";

/** What a PKCS#8 or SPKI structure says, before the algorithm has looked at the key in it. */
export interface KeyInfo {
	readonly half: "private" | "public";
	/** The body of the AlgorithmIdentifier: the OID and its parameters. */
	readonly algorithmId: Bytes;
	/** The algorithm's own structure of the key. */
	readonly key: Bytes;
	/** The public half that a version 2 private key carries (RFC 5958). */
	readonly publicKey: Bytes | null;
}

const accepted =
	"Accepted are a JWK, SPKI (PUBLIC KEY) in PEM and, for an import, PKCS#8 (PRIVATE KEY) in PEM";

const isRead = (label: string) => label === "PRIVATE KEY" || label === "PUBLIC KEY";

const toPkcs8 = "openssl pkcs8 -topk8 -nocrypt";

/**
 * Labels that are often tried, and what makes one that is read of them, where one command does; others are not
 * named in a message, since a caller wrote them.
 */
const knownLabels = new Map([
	["CERTIFICATE", "openssl x509 -pubkey -noout"],
	["DSA PRIVATE KEY", null],
	["EC PARAMETERS", null],
	["EC PRIVATE KEY", toPkcs8],
	["ENCRYPTED PRIVATE KEY", toPkcs8],
	["OPENSSH PRIVATE KEY", null],
	["RSA PRIVATE KEY", toPkcs8],
	["RSA PUBLIC KEY", "openssl rsa -RSAPublicKey_in -pubout"],
]);

/** Every "no" to key material. The detail never quotes the material. */
export function refuseKey(detail: string): Err<Failure> {
	return fail("invalid_key_material", detail);
}

export function refusePair(): Err<Failure> {
	return refuseKey("The private and the public half do not belong together.");
}

export function isPrivatePem(text: string): boolean {
	return /-----BEGIN [A-Z0-9 ]{0,33}PRIVATE KEY-----/.test(text);
}

/** One PEM block (RFC 7468) of a private or public key; explanations around it are not read. */
export function readPem(text: string): Result<KeyInfo, Failure> {
	const [begin, ...others] = text.matchAll(/-----BEGIN ([A-Z0-9 ]{1,40})-----/g);
	if (!begin) {
		const isJson = text.trimStart().startsWith("{");
		const advice = isJson ? " A JWK is sent as an object, not as text." : "";
		return refuseKey(`The key is not PEM. ${accepted}.${advice}`);
	}
	// What is before the key in a file of openssl's (EC PARAMETERS) is of its kind too.
	const strange = [begin, ...others]
		.map(([, label = ""]) => label)
		.findLast((label) => !isRead(label));
	const readable = [begin, ...others].find(([, label = ""]) => isRead(label))?.[1];
	if (strange !== undefined && readable !== undefined) {
		return refuseKey(`The PEM must be one block: send the "${readable}" alone.`);
	}
	if (strange !== undefined) {
		const found = knownLabels.has(strange) ? `"${strange}"` : "another kind of PEM";
		const command = knownLabels.get(strange);
		const advice = command ? ` Convert it with: ${command} -in FILE` : "";
		return refuseKey(`The PEM is ${found}. ${accepted}, not encrypted.${advice}`);
	}
	if (others.length > 0) return refuseKey("The PEM must be one block; it has several.");
	const [boundary, label = ""] = begin;
	const from = begin.index + boundary.length;
	const end = `-----END ${label}-----`;
	const to = text.indexOf(end, from);
	if (to === -1) return refuseKey(`The PEM must be one block that ends with "${end}".`);
	const body = text.slice(from, to);
	const der = fromBase64(body.replace(/[\r\n\t ]+/g, ""));
	if (!der) {
		const advice = body.includes("\\n") ? " It has \\n in the place of its line breaks." : "";
		return refuseKey(`The PEM's body is not base64.${advice}`);
	}
	const info = label === "PRIVATE KEY" ? readPrivateKeyInfo(der) : readPublicKeyInfo(der);
	return info ? ok(info) : refuseKey(`The PEM's body is not the DER of a ${label.toLowerCase()}.`);
}

/** PKCS#8: PrivateKeyInfo (RFC 5208), OneAsymmetricKey (RFC 5958). Attributes are ignored. */
export function readPrivateKeyInfo(der: Bytes): KeyInfo | null {
	const elements = readSequence(der);
	if (!elements) return null;
	const [version, algorithm, key, ...rest] = elements;
	const versionNumber = readSmall(version);
	if (versionNumber !== 0 && versionNumber !== 1) return null;
	if (algorithm?.tag !== tags.sequence || key?.tag !== tags.octetString) return null;
	const attributes = rest[0]?.tag === tags.context0 ? 1 : 0;
	const publicKey = rest[attributes];
	if (rest.length > attributes + (versionNumber === 1 ? 1 : 0)) return null;
	const publicBits = publicKey ? readCarried(publicKey) : null;
	if (publicKey && !publicBits) return null;
	return { half: "private", algorithmId: algorithm.body, key: key.body, publicKey: publicBits };
}

/** IMPLICIT, as RFC 5958 has it; EXPLICIT, as Rust's ring wrote it up to 0.16, and many keys are of it. */
function readCarried(publicKey: Element): Bytes | null {
	return readBits(publicKey, tags.context1Primitive) ?? readExplicitBits(publicKey);
}

export function writePrivateKeyInfo(algorithmId: Bytes, key: Bytes): Bytes {
	return writeElement(
		tags.sequence,
		writeElement(tags.integer, Uint8Array.of(0)),
		writeElement(tags.sequence, algorithmId),
		writeElement(tags.octetString, key),
	);
}

/** SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7) in PEM, 64 characters a line (RFC 7468 section 2). */
export function writePublicPem(algorithmId: Bytes, key: Bytes): string {
	const spki = writeElement(
		tags.sequence,
		writeElement(tags.sequence, algorithmId),
		writeBits(key),
	);
	const lines = toBase64(spki).match(/.{1,64}/g) ?? [];
	return `-----BEGIN PUBLIC KEY-----\n${lines.join("\n")}\n-----END PUBLIC KEY-----\n`;
}

function readPublicKeyInfo(der: Bytes): KeyInfo | null {
	const elements = readSequence(der);
	if (elements?.length !== 2 || elements[0]?.tag !== tags.sequence) return null;
	const key = readBits(elements[1], tags.bitString);
	return key && { half: "public", algorithmId: elements[0].body, key, publicKey: null };
}
