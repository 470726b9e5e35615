import { describe, expect, it } from "vitest";
import {
	type Bytes,
	concat,
	fromBase64Url,
	toBase64,
	toBase64Url,
	toHex,
} from "../../src/lib/bytes.ts";
import type { AlgorithmName } from "../../src/model.ts";
import { algorithms } from "../../src/signing/algorithms.ts";
import { tags, writeBits, writeElement } from "../../src/signing/asn1.ts";
import { curves, scalarOf, toPkcs8 } from "../../src/signing/ec.ts";
import { writePrivateKeyInfo, writePublicPem } from "../../src/signing/keyinfo.ts";
import type { Algorithm } from "../../src/signing/types.ts";
import {
	asymmetric,
	everyAlgorithm,
	fromHex,
	type Jwk,
	keyOf,
	privateJwkOf,
	publicOf,
	secretOf,
	unwrap,
	verifierOf,
} from "./support.ts";

const orders: Partial<Record<AlgorithmName, string>> = {
	ES256: "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
	ES384: `${"f".repeat(48)}c7634d81f4372ddf581a0db248b0a77aecec196accc52973`,
	ES512: `01${"f".repeat(65)}a51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409`,
	ES256K: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
	BIP340: "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
};
const curveOf: Partial<Record<AlgorithmName, keyof typeof curves>> = {
	ES256: "P-256",
	ES384: "P-384",
	ES512: "P-521",
	ES256K: "secp256k1",
	BIP340: "secp256k1",
};
const elliptic = everyAlgorithm.filter(({ name }) => name in curveOf);
const rsas = [algorithms.RS256, algorithms.PS256];

/** A prime of 1,024 bits; with 2^900 and the step it is another. */
const nearPrime = BigInt(
	`0xed8a8abd69806ff48e8ce54abb3fcdcacec9856e6a84c0ee9e380d71d30ff3fc9aad912649698915e84600` +
		`da32cf121ee831a4fe5120b3fea35953155fbca31695deabe34b222ba2f8f897a638c133daf9f5355c56bd` +
		`e18cd2b86395443728f8e86cdc913eefbe96decd392fb2813e83118469464dd141fd0e0ed6254d2b2a2b`,
);
const nearPrimeStep = 92n;

async function primesOf(algorithm: Algorithm, modulusLength: number) {
	const jwk = await privateJwkOf(algorithm, await algorithm.generate(modulusLength));
	const number = (name: string) => BigInt(`0x${toHex(member(jwk, name))}`);
	return { n: number("n"), p: number("p"), q: number("q") };
}

/** The numbers of RFC 8017 section 3.2 for two primes, with the exponent 65537. */
function fromPrimes(p: bigint, q: bigint) {
	const d = inverse(65_537n, (p - 1n) * (q - 1n));
	return { n: p * q, e: 65_537n, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) };
}

function inverse(of: bigint, modulus: bigint): bigint {
	let [a, b, x, y] = [of % modulus, modulus, 1n, 0n];
	while (b !== 0n) [a, b, x, y] = [b, a % b, y, x - (a / b) * y];
	return ((x % modulus) + modulus) % modulus;
}

function toRsaJwk(numbers: ReturnType<typeof fromPrimes>): Jwk {
	const members = Object.entries(numbers).map(([name, number]) => {
		const hex = number.toString(16);
		return [name, toBase64Url(fromHex(hex.padStart(hex.length + (hex.length % 2), "0")))];
	});
	return { kty: "RSA", ...Object.fromEntries(members) };
}

function curveFor(algorithm: Algorithm) {
	return curves[curveOf[algorithm.name] ?? "P-256"];
}

function pem(label: string, der: Bytes): string {
	return `-----BEGIN ${label}-----\n${toBase64(der)}\n-----END ${label}-----\n`;
}

/** PKCS#8 of a generated key, whatever form its secret has. */
async function privatePem(algorithm: Algorithm): Promise<string> {
	const secret = secretOf(await keyOf(algorithm));
	return pem("PRIVATE KEY", secret.length === 32 ? toPkcs8(curves.secp256k1, secret) : secret);
}

async function refusal(algorithm: Algorithm, key: string | Jwk): Promise<string> {
	const found = await algorithm.importKey(key);
	if (found.ok) throw new Error(`${algorithm.name} took what it must refuse`);
	expect(found.error.code).toBe("invalid_key_material");
	return found.error.detail;
}

function member(jwk: Jwk, name: string): Bytes {
	const bytes = fromBase64Url(String(jwk[name]));
	if (!bytes) throw new Error(`the key has no ${name}`);
	return bytes;
}

describe.each(everyAlgorithm)("a private key of $name", (algorithm) => {
	it("comes back from its JWK as it was, and signs", async () => {
		const key = await keyOf(algorithm);
		const imported = unwrap(await algorithm.importKey(await privateJwkOf(algorithm, key)));
		expect(imported.publicJwk).toEqual(key.publicJwk);
		const input = Uint8Array.of(1, 2, 3);
		const { bytes } = await (await algorithm.signer(secretOf(imported), "message"))(input);
		expect(await (await verifierOf(algorithm, key, "message"))(input, bytes)).toBe(true);
	});

	it("may say what it is for, and have members that nobody knows", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		const said = {
			...jwk,
			use: "sig",
			key_ops: ["sign"],
			kid: "k1",
			ext: true,
			"x-mine": { a: 1 },
		};
		const alg = algorithm.jose === null ? {} : { alg: algorithm.jose };
		expect((await algorithm.importKey({ ...said, ...alg })).ok).toBe(true);
	});

	it("is refused where it is for something else", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		expect(await refusal(algorithm, { ...jwk, kty: "other" })).toContain('"kty"');
		expect(await refusal(algorithm, { ...jwk, alg: "ES999" })).toContain('"alg"');
		expect(await refusal(algorithm, { ...jwk, use: "enc" })).toContain('"use"');
		expect(await refusal(algorithm, { ...jwk, key_ops: ["verify"] })).toContain('"key_ops"');
		expect(await refusal(algorithm, { ...jwk, key_ops: "sign" })).toContain('"key_ops"');
	});

	it("is refused in any member that is not base64url, and no message repeats it", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		for (const [name, value] of Object.entries(jwk)) {
			if (name === "kty" || name === "crv" || name === "e") continue;
			const text = String(value);
			for (const wrong of [`${text}=`, ` ${text}`, `${text.slice(0, -2)}+/`, 7, null, {}, ""]) {
				const detail = await refusal(algorithm, { ...jwk, [name]: wrong });
				expect(detail).toContain(`"${name}"`);
				expect(detail).not.toContain(text.slice(0, 8));
			}
		}
	});
});

describe.each(asymmetric)("a public key of $name", (algorithm) => {
	it("comes back from its JWK and its PEM as it was, without a secret", async () => {
		const publicJwk = publicOf(await keyOf(algorithm));
		const expected = { secret: null, publicJwk };
		expect(unwrap(await algorithm.importKey({ ...publicJwk }))).toEqual(expected);
		const text = algorithm.exportPem(publicJwk);
		expect(unwrap(await algorithm.importKey(text))).toEqual(expected);
		expect(unwrap(await algorithm.importKey(text.replaceAll("\n", "\r\n")))).toEqual(expected);
	});

	it("must list verify where it lists operations", async () => {
		const publicJwk = publicOf(await keyOf(algorithm));
		const verifies = { ...publicJwk, key_ops: ["verify"] };
		expect((await algorithm.importKey(verifies)).ok).toBe(true);
		expect(await refusal(algorithm, { ...publicJwk, key_ops: ["sign"] })).toContain('"verify"');
	});

	it("comes with its private half as PKCS#8", async () => {
		const key = await keyOf(algorithm);
		const imported = unwrap(await algorithm.importKey(await privatePem(algorithm)));
		expect(imported.publicJwk).toEqual(key.publicJwk);
		expect(imported.secret).not.toBeNull();
	});

	it("of another pair is refused beside the private half", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		const other = publicOf(await algorithm.generate());
		expect(await refusal(algorithm, { ...jwk, ...other })).toContain("belong together");
	});

	it("of every other kind of key is refused", async () => {
		for (const other of asymmetric) {
			const shares = publicOf(await keyOf(other)).kty === publicOf(await keyOf(algorithm)).kty;
			const sameCurve = curveOf[other.name] === curveOf[algorithm.name];
			if (other.name === algorithm.name || (shares && sameCurve)) continue;
			await refusal(algorithm, { ...publicOf(await keyOf(other)) });
			await refusal(algorithm, other.exportPem(publicOf(await keyOf(other))));
			await refusal(algorithm, await privatePem(other));
		}
	});
});

describe("PEM", () => {
	it.each([
		["RSA PRIVATE KEY", '"RSA PRIVATE KEY"'],
		["EC PRIVATE KEY", '"EC PRIVATE KEY"'],
		["ENCRYPTED PRIVATE KEY", '"ENCRYPTED PRIVATE KEY"'],
		["CERTIFICATE", '"CERTIFICATE"'],
		["EC PRIVATE KEY", "openssl pkcs8 -topk8 -nocrypt -in"],
		["CERTIFICATE", "openssl x509 -pubkey -noout -in"],
		["RSA PUBLIC KEY", "openssl rsa -RSAPublicKey_in -pubout -in"],
		["OPENSSH PRIVATE KEY", '"OPENSSH PRIVATE KEY"'],
		["SECRET SAUCE", "another kind of PEM"],
	])("labelled %s is refused, and what is taken is said", async (label, found) => {
		const detail = await refusal(algorithms.ES256, pem(label, new Uint8Array(20)));
		expect(detail).toContain(found);
		expect(detail).toContain("PKCS#8");
		expect(detail).toContain("SPKI");
	});

	it("with parameters before an EC key, as openssl writes it, is told what to do", async () => {
		const both = ["EC PARAMETERS", "EC PRIVATE KEY"].map((one) => pem(one, new Uint8Array(20)));
		expect(await refusal(algorithms.ES256, both.join("\n"))).toMatch(
			/"EC PRIVATE KEY".*openssl pkcs8/,
		);
	});

	it("that is a JWK as text is told to be sent as an object", async () => {
		expect(await refusal(algorithms.ES256, ' {"kty":"EC"}')).toContain("as an object, not as text");
	});

	it.each([
		["nothing", ""],
		["no PEM", "hello"],
		["no end", "-----BEGIN PUBLIC KEY-----\nAAAA\n"],
		["another end", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PRIVATE KEY-----"],
		["text behind", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\nmore"],
		["no base64", "-----BEGIN PUBLIC KEY-----\n!!!!\n-----END PUBLIC KEY-----"],
		["no DER", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"],
		["no DER of a private key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"],
		["an empty body", "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----"],
	])("that is %s is refused for every algorithm", async (_what, text) => {
		for (const algorithm of everyAlgorithm) expect(await refusal(algorithm, text)).not.toBe("");
	});

	it("may stand between explanations, as openssl writes them", async () => {
		const key = await keyOf(algorithms.ES256);
		const text = `Bag Attributes\n    friendlyName: one\n${await privatePem(algorithms.ES256)}Private-Key: (256 bit)\n`;
		const found = await algorithms.ES256.importKey(text);
		expect(found.ok && found.value.publicJwk).toEqual(key.publicJwk);
	});

	it("of two keys is refused", async () => {
		const one = algorithms.ES256.exportPem(publicOf(await keyOf(algorithms.ES256)));
		expect(await refusal(algorithms.ES256, one + one)).toContain("one block");
	});

	it.each(asymmetric)("of $name with bytes added or cut is refused", async (algorithm) => {
		const text = await privatePem(algorithm);
		const body = text.split("\n").slice(1, -2).join("");
		const der = fromBase64Url(body.replace(/=/g, "").replaceAll("+", "-").replaceAll("/", "_"));
		if (!der) throw new Error("the PEM is not base64");
		await refusal(algorithm, pem("PRIVATE KEY", der.slice(0, -1)));
		const longer = new Uint8Array(der.length + 1);
		longer.set(der);
		await refusal(algorithm, pem("PRIVATE KEY", longer));
	});
});

describe.each(elliptic)("the numbers of $name", (algorithm) => {
	const curve = curveFor(algorithm);
	const order = fromHex(orders[algorithm.name] ?? "");

	function scalars(): [string, Bytes][] {
		const over = order.slice();
		over[over.length - 1] = (over.at(-1) ?? 0) + 1;
		return [
			["zero", new Uint8Array(order.length)],
			["the order", order],
			["the order plus one", over],
			["all ones", new Uint8Array(order.length).fill(0xff)],
		];
	}

	it("exclude a scalar out of range", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		for (const [what, scalar] of scalars()) {
			const detail = await refusal(algorithm, { ...jwk, d: toBase64Url(scalar) });
			expect(detail, what).toContain("order");
			const text = pem("PRIVATE KEY", toPkcs8(curve, scalar));
			expect(await refusal(algorithm, text), what).toContain("order");
		}
	});

	it("exclude a point that is not on the curve", async () => {
		const publicJwk = { ...publicOf(await keyOf(algorithm)) } as Jwk;
		const y = member(publicJwk, "y");
		y[y.length - 1] = (y.at(-1) ?? 0) ^ 1;
		const wrong = { ...publicJwk, y: toBase64Url(y) };
		expect(await refusal(algorithm, wrong)).toContain("not a point");
		const allOnes = { ...publicJwk, x: toBase64Url(new Uint8Array(y.length).fill(0xff)) };
		expect(await refusal(algorithm, allOnes)).toContain("not a point");
		const zero = toBase64Url(new Uint8Array(y.length));
		expect(await refusal(algorithm, { ...publicJwk, x: zero, y: zero })).toContain("not a point");
	});

	it("have coordinates and scalars of the curve's length", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		for (const name of ["x", "y", "d"]) {
			const bytes = member(jwk, name);
			const shorter = { ...jwk, [name]: toBase64Url(bytes.slice(1)) };
			expect(await refusal(algorithm, shorter)).toContain(`it has ${bytes.length - 1}`);
		}
	});

	it("may come as a compressed point, and in no other form", async () => {
		const publicJwk = publicOf(await keyOf(algorithm));
		const whole = algorithms.ES256K.exportRaw(publicJwk) ?? new Uint8Array();
		const end = 1 + curve.coordinateBytes;
		const compressed = whole.slice(0, end);
		compressed[0] = 2 + ((whole.at(-1) ?? 0) & 1);
		const imported = await algorithm.importKey(writePublicPem(curve.algorithmId, compressed));
		expect(unwrap(imported).publicJwk).toEqual(publicJwk);
		const hybrid = whole.slice();
		hybrid[0] = 6 + ((whole.at(-1) ?? 0) & 1);
		for (const form of [hybrid, whole.slice(0, -1), compressed.slice(1), Uint8Array.of(0)]) {
			const text = writePublicPem(curve.algorithmId, form);
			expect(await refusal(algorithm, text)).toContain("not a point");
		}
	});

	it("are the number of a scalar that came without its zeros, or with one more", async () => {
		const scalar = new Uint8Array(curve.coordinateBytes);
		scalar.set([1, 2, 3], curve.coordinateBytes - 3);
		const withScalar = (bytes: Bytes) => {
			const version = writeElement(tags.integer, Uint8Array.of(1));
			const key = writeElement(tags.sequence, version, writeElement(tags.octetString, bytes));
			return pem("PRIVATE KEY", writePrivateKeyInfo(curve.algorithmId, key));
		};
		const whole = unwrap(await algorithm.importKey(withScalar(scalar)));
		const longer = new Uint8Array([0, 0, ...scalar]);
		for (const bytes of [scalar.slice(-3), scalar.slice(1), longer.slice(1), longer]) {
			const imported = unwrap(await algorithm.importKey(withScalar(bytes)));
			expect([imported.publicJwk, imported.secret]).toEqual([whole.publicJwk, whole.secret]);
		}
		const kept = toPkcs8(curve, scalar);
		expect(scalarOf(kept, curve).buffer).toBe(kept.buffer); // no copy that nobody would wipe
		for (const bytes of [new Uint8Array([1, ...scalar]), new Uint8Array(0), new Uint8Array(80)]) {
			expect(await refusal(algorithm, withScalar(bytes))).not.toBe("");
		}
	});

	it("may carry their curve and point in PKCS#8, which must fit", async () => {
		const key = await keyOf(algorithm);
		const jwk = await privateJwkOf(algorithm, key);
		const point = algorithms.ES256K.exportRaw(publicOf(key)) ?? new Uint8Array();
		const ecPrivateKey = (named: Bytes, carried: Bytes) =>
			writeElement(
				tags.sequence,
				writeElement(tags.integer, Uint8Array.of(1)),
				writeElement(tags.octetString, member(jwk, "d")),
				writeElement(tags.context0, named),
				writeElement(tags.context1, writeBits(carried)),
			);
		const oid = curve.algorithmId.slice(9);
		const whole = writePrivateKeyInfo(curve.algorithmId, ecPrivateKey(oid, point));
		const imported = unwrap(await algorithm.importKey(pem("PRIVATE KEY", whole)));
		expect(imported.publicJwk).toEqual(key.publicJwk);
		const other = algorithms.ES256K.exportRaw(publicOf(await algorithm.generate()));
		const mixed = ecPrivateKey(oid, other ?? new Uint8Array());
		const mixedPem = pem("PRIVATE KEY", writePrivateKeyInfo(curve.algorithmId, mixed));
		expect(await refusal(algorithm, mixedPem)).toContain("belong together");
		const brainpool = ecPrivateKey(fromHex("06092b2403030208010107"), point);
		const wrongPem = pem("PRIVATE KEY", writePrivateKeyInfo(curve.algorithmId, brainpool));
		expect(await refusal(algorithm, wrongPem)).toContain("ECPrivateKey");
	});

	it("may have their point twice in PKCS#8, which must be the same one", async () => {
		const key = await keyOf(algorithm);
		const jwk = await privateJwkOf(algorithm, key);
		const pointOfKey = (of: typeof key) =>
			algorithms.ES256K.exportRaw(publicOf(of)) ?? new Uint8Array();
		const point = pointOfKey(key);
		const compressed = concat(
			Uint8Array.of(2 + ((point.at(-1) ?? 0) & 1)),
			point.slice(1, (point.length + 1) / 2),
		);
		const version2 = (outer: Bytes, version = fromHex("01"), ecVersion = fromHex("01")) => {
			const ecPrivateKey = writeElement(
				tags.sequence,
				writeElement(tags.integer, ecVersion),
				writeElement(tags.octetString, member(jwk, "d")),
				writeElement(tags.context1, writeBits(point)),
			);
			const info = writeElement(
				tags.sequence,
				writeElement(tags.integer, version),
				writeElement(tags.sequence, curve.algorithmId),
				writeElement(tags.octetString, ecPrivateKey),
				writeElement(tags.context1Primitive, concat(Uint8Array.of(0), outer)),
			);
			return pem("PRIVATE KEY", info);
		};
		for (const same of [point, compressed]) {
			const imported = unwrap(await algorithm.importKey(version2(same)));
			expect(imported.publicJwk).toEqual(key.publicJwk);
		}
		const other = pointOfKey(await algorithm.generate());
		const otherParity = concat(Uint8Array.of((compressed[0] ?? 0) ^ 1), compressed.slice(1));
		const otherY = concat(
			point.slice(0, -9),
			Uint8Array.of((point.at(-9) ?? 0) ^ 1),
			point.slice(-8),
		);
		for (const wrong of [other, otherParity, otherY]) {
			expect(await refusal(algorithm, version2(wrong))).toContain("belong together");
		}
		expect(await refusal(algorithm, version2(point.slice(1)))).toContain("not a point");
		// The number of a version, and not its first byte.
		for (const version of ["0100", "01ffff", "02"]) {
			expect(await refusal(algorithm, version2(point, fromHex(version)))).toContain("DER");
			const ofKey = version2(point, fromHex("01"), fromHex(version));
			expect(await refusal(algorithm, ofKey)).toContain("ECPrivateKey");
		}
	});
});

describe("BIP340", () => {
	it("takes a public key that is an x alone, and gives it the even y", async () => {
		const { kty, crv, x } = publicOf(await keyOf(algorithms.BIP340)) as Jwk & { kty: "EC" };
		const imported = unwrap(await algorithms.BIP340.importKey({ kty, crv, x }));
		expect(imported.publicJwk).toEqual(publicOf(await keyOf(algorithms.BIP340)));
		const d = toBase64Url(secretOf(await keyOf(algorithms.BIP340)));
		expect((await algorithms.BIP340.importKey({ kty, crv, x, d })).ok).toBe(true);
	});

	it("takes a key of either parity as the key with the even y", async () => {
		for (let i = 0; i < 8; i++) {
			const ecdsa = await algorithms.ES256K.generate();
			const jwk = { ...publicOf(ecdsa), d: toBase64Url(secretOf(ecdsa)) };
			const schnorr = unwrap(await algorithms.BIP340.importKey(jwk));
			const raw = algorithms.BIP340.exportRaw(publicOf(schnorr));
			expect(raw).toEqual(algorithms.ES256K.exportRaw(publicOf(ecdsa))?.slice(1, 33));
		}
	});

	it("takes no alg, for JOSE has none", async () => {
		const jwk = { ...publicOf(await keyOf(algorithms.BIP340)), alg: "ES256K" };
		expect(await refusal(algorithms.BIP340, jwk)).toContain("left out");
	});

	it("leaves ES256K to points with both coordinates", async () => {
		const { kty, crv, x } = publicOf(await keyOf(algorithms.ES256K)) as Jwk & { kty: "EC" };
		expect(await refusal(algorithms.ES256K, { kty, crv, x })).toContain('"y"');
	});
});

describe("Ed25519", () => {
	it("takes alg EdDSA and Ed25519 (RFC 9864)", async () => {
		const jwk = publicOf(await keyOf(algorithms.Ed25519));
		for (const alg of ["EdDSA", "Ed25519"]) {
			expect((await algorithms.Ed25519.importKey({ ...jwk, alg })).ok).toBe(true);
		}
	});

	it.each([
		["not on the curve", `02${"00".repeat(31)}`],
		["the identity", `01${"00".repeat(31)}`],
		["of order two", `ec${"ff".repeat(30)}7f`],
		["of order eight", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"],
		["not in canonical form", `ee${"ff".repeat(30)}7f`],
	])("refuses a public key that is %s", async (_what, hex) => {
		const jwk = { kty: "OKP", crv: "Ed25519", x: toBase64Url(fromHex(hex)) };
		expect(await refusal(algorithms.Ed25519, jwk)).toContain("not a point");
	});

	it.each([
		["implicit, as RFC 5958 has it", (bits: Bytes) => writeElement(tags.context1Primitive, bits)],
		[
			"explicit, as ring wrote it",
			(bits: Bytes) => writeElement(tags.context1, writeElement(tags.bitString, bits)),
		],
	])(
		"takes a version 2 private key with its public half, which must fit: %s",
		async (_, carried) => {
			const key = await keyOf(algorithms.Ed25519);
			const seed = secretOf(key).slice(-32);
			const version2 = (point: Bytes) =>
				writeElement(
					tags.sequence,
					writeElement(tags.integer, Uint8Array.of(1)),
					writeElement(tags.sequence, fromHex("06032b6570")),
					writeElement(tags.octetString, writeElement(tags.octetString, seed)),
					carried(concat(Uint8Array.of(0), point)),
				);
			const point = algorithms.Ed25519.exportRaw(publicOf(key)) ?? new Uint8Array();
			const imported = await algorithms.Ed25519.importKey(pem("PRIVATE KEY", version2(point)));
			expect(unwrap(imported).publicJwk).toEqual(key.publicJwk);
			const other = algorithms.Ed25519.exportRaw(publicOf(await algorithms.Ed25519.generate()));
			const mixed = pem("PRIVATE KEY", version2(other ?? new Uint8Array()));
			expect(await refusal(algorithms.Ed25519, mixed)).toContain("belong together");
			const short = pem("PRIVATE KEY", version2(point.slice(1)));
			expect(await refusal(algorithms.Ed25519, short)).toContain("32 bytes");
		},
	);

	it("refuses a public half under any other tag", async () => {
		const seed = secretOf(await keyOf(algorithms.Ed25519)).slice(-32);
		const point = algorithms.Ed25519.exportRaw(publicOf(await keyOf(algorithms.Ed25519)));
		const bits = concat(Uint8Array.of(0), point ?? new Uint8Array());
		for (const carried of [
			writeElement(0xa2, writeElement(tags.bitString, bits)),
			writeElement(tags.context1, writeElement(tags.octetString, bits)),
			writeElement(tags.context1, bits),
			writeElement(tags.bitString, bits),
		]) {
			const der = writeElement(
				tags.sequence,
				writeElement(tags.integer, Uint8Array.of(1)),
				writeElement(tags.sequence, fromHex("06032b6570")),
				writeElement(tags.octetString, writeElement(tags.octetString, seed)),
				carried,
			);
			expect(await refusal(algorithms.Ed25519, pem("PRIVATE KEY", der))).toContain("not the DER");
		}
	});
});

describe.each(rsas)("an RSA key of $name", (algorithm) => {
	async function withModulus(change: (n: Bytes) => Bytes): Promise<string> {
		const jwk = { ...publicOf(await keyOf(algorithm)) } as Jwk;
		return refusal(algorithm, { ...jwk, n: toBase64Url(change(member(jwk, "n"))) });
	}

	it("has a modulus from 2048 to 4096 bits that is odd and does not start with zero", async () => {
		expect(await withModulus((n) => n.slice(1).with(0, 0x80))).toContain("2048 to 4096");
		const large = new Uint8Array(513).fill(0xff);
		expect(await withModulus(() => large)).toContain("it has 4104");
		expect(await withModulus((n) => n.with(255, 4))).toContain("odd");
		const padded = (n: Bytes) => Uint8Array.from([0, ...n]);
		expect(await withModulus(padded)).toContain("zero byte");
	});

	it.each(["AQ", "Ag", "AA", "EQ", "AQAA", "AQAAAAE"])("has not the exponent %s", async (e) => {
		const jwk = { ...publicOf(await keyOf(algorithm)), e };
		expect(await refusal(algorithm, jwk)).toMatch(/"e"|3 or 65537/);
	});

	it("must have all its numbers, and of two primes", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		for (const name of ["p", "q", "dp", "dq", "qi"]) {
			const { [name]: _left, ...rest } = jwk;
			expect(await refusal(algorithm, rest)).toContain(`"${name}"`);
		}
		expect(await refusal(algorithm, { ...jwk, oth: [{}] })).toContain("two primes");
		expect(await refusal(algorithm, { ...jwk, oth: "" })).toContain("two primes");
		expect((await algorithm.importKey({ ...jwk, oth: [] })).ok).toBe(true);
	});

	it("is no public one where a part of the private one is left in it", async () => {
		const { d: _, ...rest } = await privateJwkOf(algorithm, await keyOf(algorithm));
		expect(await refusal(algorithm, rest)).toContain('"d"');
	});

	it("must have primes of half its length", async () => {
		const { n: _, ...two } = await primesOf(algorithm, 2048);
		const four = await primesOf(algorithm, 4096);
		const uneven = fromPrimes(four.p, two.p);
		expect(uneven.n.toString(2).length).toBeGreaterThan(3000);
		expect(await refusal(algorithm, toRsaJwk(uneven))).toContain("half its length");
	});

	it("must have primes that are far apart, or Fermat's method finds them", async () => {
		const near = toRsaJwk(fromPrimes(nearPrime, nearPrime + (1n << 900n) + nearPrimeStep));
		expect(await refusal(algorithm, near)).toContain("far apart");
		const { p, q } = await primesOf(algorithm, 2048);
		expect((await algorithm.importKey(toRsaJwk(fromPrimes(p, q)))).ok).toBe(true);
	});

	it("must have an exponent that can be kept: below the modulus (RFC 8017 section 3.2)", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		const number = (name: string) => BigInt(`0x${toHex(member(jwk, name))}`);
		const [d, n, p, q] = ["d", "n", "p", "q"].map(number) as [bigint, bigint, bigint, bigint];
		// The same key by its equations, and half of the time no longer than the modulus.
		let larger = d;
		while (larger <= n) larger += (p - 1n) * (q - 1n);
		const hex = larger.toString(16);
		const text = toBase64Url(fromHex(hex.padStart(hex.length + (hex.length % 2), "0")));
		expect(await refusal(algorithm, { ...jwk, d: text })).toContain("belong together");
	});

	it("must have numbers that belong together", async () => {
		const jwk = await privateJwkOf(algorithm, await keyOf(algorithm));
		const changed = (name: string) => {
			const number = member(jwk, name);
			number[number.length - 1] = (number.at(-1) ?? 0) ^ 2;
			return { ...jwk, [name]: toBase64Url(number) };
		};
		for (const name of ["n", "d", "p", "q", "dp", "dq", "qi"]) {
			expect(await refusal(algorithm, changed(name))).toContain("belong together");
		}
	});
});

describe("an HS256 key", () => {
	it.each([32, 64, 512])("may have %i bytes", async (size) => {
		const k = toBase64Url(new Uint8Array(size).fill(1));
		expect((await algorithms.HS256.importKey({ kty: "oct", k })).ok).toBe(true);
	});

	it.each([0, 31, 513])("may not have %i bytes", async (size) => {
		const k = toBase64Url(new Uint8Array(size).fill(1));
		expect(await refusal(algorithms.HS256, { kty: "oct", k })).toContain("32 to 512");
	});

	it("is a JWK, never PEM", async () => {
		expect(await refusal(algorithms.HS256, await privatePem(algorithms.ES256))).toContain("JWK");
	});
});
