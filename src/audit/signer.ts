import {
	type Bytes,
	concat,
	fromBase64Url,
	fromHex,
	toBase64Url,
	utf8,
	withLengths,
} from "../lib/bytes.ts";
import type { KeyEncryptionKey } from "../lib/keks.ts";

/** What the service's own key signs; the `typ` of a JWS says which, so none is taken for another. */
export type StatementType =
	| "edgesign-audit-checkpoint+jwt"
	| "edgesign-audit-deletion+jwt"
	| "edgesign-audit-export+jwt"
	| "edgesign-audit-seal+jwt"
	| "edgesign-audit-expired+jwt"
	| "edgesign-audit-record+jwt"
	| "edgesign-audit-manifest+jwt";

/** A public half, as a JWK Set has it (RFC 8037). */
export interface AuditJwk {
	readonly kty: "OKP";
	readonly crv: "Ed25519";
	readonly x: string;
	/** Its thumbprint (RFC 7638). */
	readonly kid: string;
	readonly alg: "EdDSA";
	readonly use: "sig";
}

/** The service's own key, which is no tenant's: it says what the log is, and signs nothing else. */
export interface AuditSigner {
	/** A JWS in its compact form (RFC 7515). */
	sign(type: StatementType, payload: unknown): Promise<string>;
	/** The newest first: one for each key-encryption key. */
	publicKeys(): Promise<AuditJwk[]>;
}

/** PKCS#8 of an Ed25519 key before its seed (RFC 8410 section 7). */
const pkcs8Prefix = fromHex("302e020100300506032b657004220420");
const algorithm = { name: "Ed25519" };
const signatureBytes = 64;

/**
 * The key is derived from the newest key-encryption key (HKDF with SHA-256, RFC 5869), so every
 * isolate has the same one, and there is none to store.
 */
export function createAuditSigner(
	keks: readonly [KeyEncryptionKey, ...KeyEncryptionKey[]],
): AuditSigner {
	const known = new Map<string, { key: CryptoKey; jwk: AuditJwk }>();

	async function keyOf(kek: KeyEncryptionKey) {
		const found = known.get(kek.id) ?? (await deriveKey(kek));
		known.set(kek.id, found);
		return found;
	}

	return {
		async sign(type, payload) {
			const { key, jwk } = await keyOf(keks[0]);
			const header = { alg: jwk.alg, kid: jwk.kid, typ: type };
			const text = [header, payload].map((part) => toBase64Url(utf8(JSON.stringify(part))));
			const input = text.join(".");
			const signature = await crypto.subtle.sign(algorithm, key, utf8(input));
			return `${input}.${toBase64Url(new Uint8Array(signature))}`;
		},
		async publicKeys() {
			return (await Promise.all(keks.map(keyOf))).map(({ jwk }) => jwk);
		},
	};
}

async function deriveKey({ id, bytes }: KeyEncryptionKey) {
	const base = await crypto.subtle.importKey("raw", bytes, "HKDF", false, ["deriveBits"]);
	const info = withLengths(["edgesign-audit-key-v1", id]);
	const salt = new Uint8Array();
	const seed = await crypto.subtle.deriveBits(
		{ name: "HKDF", hash: "SHA-256", salt, info },
		base,
		256,
	);
	const pkcs8 = concat(pkcs8Prefix, new Uint8Array(seed));
	// Once in a form that tells its public half, and to keep in one that tells nothing.
	const open = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, true, ["sign"]);
	const { x = "" } = (await crypto.subtle.exportKey("jwk", open)) as { x?: string };
	const key = await crypto.subtle.importKey("pkcs8", pkcs8, algorithm, false, ["sign"]);
	const kid = await thumbprint(x);
	const jwk: AuditJwk = { kty: "OKP", crv: "Ed25519", x, kid, alg: "EdDSA", use: "sig" };
	return { key, jwk };
}

async function thumbprint(x: string): Promise<string> {
	const members = utf8(JSON.stringify({ crv: "Ed25519", kty: "OKP", x }));
	return toBase64Url(new Uint8Array(await crypto.subtle.digest("SHA-256", members)));
}

/** Statements by one of the keys; null for anything else. */
export type StatementReader = (type: StatementType, jws: string) => Promise<unknown>;

/**
 * Reads statements with nothing but public keys. `keys` are of a JWK Set.
 * @param onStranger told the `kid` of a statement that none of them has
 */
export async function createStatementReader(
	keys: readonly Pick<AuditJwk, "kid" | "x">[],
	onStranger: (kid: string) => void = () => {},
): Promise<StatementReader> {
	const known = new Map<string, CryptoKey>();
	for (const { kid, x } of keys) {
		const jwk = { kty: "OKP", crv: "Ed25519", x };
		known.set(kid, await crypto.subtle.importKey("jwk", jwk, algorithm, false, ["verify"]));
	}
	return async (type, jws) => {
		const [header = "", payload = "", signature = "", ...rest] = jws.split(".");
		const said = readPart(header) as { alg?: string; kid?: string; typ?: string } | null;
		const kid = typeof said?.kid === "string" ? said.kid : "";
		const key = known.get(kid);
		if (said && !key) onStranger(kid);
		const bytes = fromBase64Url(signature);
		// Of another length there is no answer from every runtime.
		if (!key || bytes?.length !== signatureBytes || rest.length > 0) return null;
		if (said?.alg !== "EdDSA" || said.typ !== type) return null;
		const input = utf8(`${header}.${payload}`);
		const isGood = await crypto.subtle.verify(algorithm, key, bytes, input);
		return isGood ? readPart(payload) : null;
	};
}

function readPart(text: string): unknown {
	try {
		const bytes: Bytes | null = fromBase64Url(text);
		return bytes && JSON.parse(new TextDecoder().decode(bytes));
	} catch {
		return null;
	}
}
