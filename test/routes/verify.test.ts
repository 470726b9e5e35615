import { beforeAll, describe, expect, it } from "vitest";
import { fromBase64, toBase64, toBase64Url } from "../../src/lib/bytes.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import { expectProblem } from "../support/answers.ts";
import { bytesOf, hello, type Key, newKey, signed } from "../support/keys.ts";
import { newTenant, type Tenant } from "../support/tenant.ts";

const ecdsa = ["ES256", "ES384", "ES512", "ES256K"] as const;
const rsa = ["RS256", "PS256"] as const;
const fixedLength = algorithmNames.filter((name) => !rsa.some((known) => known === name));
const message = toBase64(Uint8Array.from({ length: 100 }, (_, i) => i));

let tenant: Tenant;
const keys = new Map<AlgorithmName, { key: Key; signature: string }>();
beforeAll(async () => {
	tenant = await newTenant();
	for (const name of algorithmNames) {
		const key = await newKey(tenant, name);
		const { signature } = await signed(tenant, key.id, { message });
		keys.set(name, { key, signature });
	}
});

function of(name: AlgorithmName) {
	const found = keys.get(name);
	if (!found) throw new Error(`there is no key of ${name}`);
	return { ...found, bytes: decoded(found.signature) };
}

function decoded(text: string): Uint8Array<ArrayBuffer> {
	const bytes = fromBase64(text);
	if (!bytes) throw new Error("not base64");
	return bytes;
}

function verify(name: AlgorithmName, json: Readonly<Record<string, unknown>>) {
	return tenant.call("POST", `/v1/keys/${of(name).key.id}/verify`, { json });
}

/** The bits to turn: the first, the last, and some between. */
function bitsOf(byteCount: number): number[] {
	const last = 8 * byteCount - 1;
	return [0, 7, Math.floor(last / 3), Math.floor(last / 2), last - 7, last];
}

function flipped(bytes: Uint8Array, bit: number): Uint8Array {
	const copy = bytes.slice();
	const at = Math.floor(bit / 8);
	copy[at] = (copy[at] ?? 0) ^ (1 << (bit % 8));
	return copy;
}

describe("POST /v1/keys/{key}/verify", () => {
	it.each(algorithmNames)(
		"accepts the signature of %s, and says with which version",
		async (name) => {
			const answer = await verify(name, { message, signature: of(name).signature });
			expect(answer.status).toBe(200);
			expect(answer.json).toEqual({ valid: true, version: 1 });
		},
	);

	it.each(algorithmNames)(
		"answers false to a signature of %s with one bit turned",
		async (name) => {
			for (const bit of bitsOf(of(name).bytes.length)) {
				const signature = toBase64(flipped(of(name).bytes, bit));
				const answer = await verify(name, { message, signature });
				expect({ status: answer.status, json: answer.json }, `bit ${bit}`).toEqual({
					status: 200,
					json: { valid: false },
				});
			}
		},
	);

	it.each(algorithmNames)(
		"answers false to %s when one bit of the message was turned",
		async (name) => {
			for (const bit of bitsOf(100)) {
				const other = toBase64(flipped(decoded(message), bit));
				const answer = await verify(name, { message: other, signature: of(name).signature });
				expect(answer.json).toEqual({ valid: false });
			}
		},
	);

	it.each(algorithmNames)("answers false to the signature of another key of %s", async (name) => {
		const other = await newKey(tenant, name);
		const { signature } = await signed(tenant, other.id, { message });
		expect((await verify(name, { message, signature })).json).toEqual({ valid: false });
	});

	it.each(fixedLength)(
		"answers false to a signature of %s that is all zeros or all ones",
		async (name) => {
			for (const value of [0, 0xff]) {
				const signature = bytesOf(of(name).bytes.length, value);
				expect((await verify(name, { message, signature })).json).toEqual({ valid: false });
			}
		},
	);

	it.each(fixedLength)("refuses a signature of %s that is too short or too long", async (name) => {
		const length = of(name).bytes.length;
		for (const wrong of [0, 1, length - 1, length + 1, 2 * length]) {
			const answer = await verify(name, { message, signature: bytesOf(wrong) });
			const says = [name, String(length), String(wrong)];
			expectProblem(answer, 422, "malformed_signature", { pointer: "/signature", says });
		}
	});

	it.each(rsa)(
		"answers false to a signature of %s of another length than the modulus",
		async (name) => {
			for (const wrong of [0, 255, 257]) {
				const answer = await verify(name, { message, signature: bytesOf(wrong) });
				expect(answer.json).toEqual({ valid: false });
			}
		},
	);

	it("takes a signature in base64url, padded or not", async () => {
		for (const name of ["Ed25519", "ES512", "RS256"] as const) {
			const { bytes } = of(name);
			for (const signature of [toBase64Url(bytes), toBase64(bytes).replace(/=+$/, "")]) {
				expect((await verify(name, { message, signature })).json.valid).toBe(true);
			}
		}
	});

	it("takes unpadded base64url alone where the signature is said to be of a JWS", async () => {
		const { bytes } = of("ES256");
		const ask = (signature: string) => verify("ES256", { message, signature, encoding: "jws" });
		expect((await ask(toBase64Url(bytes))).json).toEqual({ valid: true, version: 1 });
		const padded = await ask(`${toBase64Url(bytes)}==`);
		expectProblem(padded, 400, "invalid_base64", { says: ["base64url", "jws"] });
	});

	it.each([
		["no base64", "@@@@"],
		["white space", `${"A".repeat(80)} ${"A".repeat(5)}`],
	])("refuses a signature that is %s", async (_, signature) => {
		const answer = await verify("Ed25519", { message, signature });
		expectProblem(answer, 400, "invalid_base64", { pointer: "/signature" });
	});

	it.each([
		["a signature that is missing", { message }, "/signature", ["string"]],
		["a signature that is a number", { message, signature: 5 }, "/signature", ["string"]],
		[
			"a signature of 1,025 characters",
			{ message, signature: "A".repeat(1025) },
			"/signature",
			["1024"],
		],
		["neither message nor digest", { signature: "" }, "/message", ["one of the two"]],
		[
			"message and digest",
			{ signature: "", message, digest: bytesOf(32) },
			"/message",
			["not both"],
		],
	])("refuses %s", async (_, json, pointer, says) => {
		expectProblem(await verify("ES256", json), 400, "invalid_request", { pointer, says });
	});

	it("refuses what the algorithm has not: a digest, an encoding, a version", async () => {
		const { signature } = of("Ed25519");
		const digest = await verify("Ed25519", { digest: bytesOf(32), signature });
		expectProblem(digest, 422, "digest_unsupported", { says: ["Ed25519"] });
		const der = await verify("Ed25519", { message, signature, encoding: "der" });
		expectProblem(der, 422, "encoding_unsupported", { says: ["Ed25519", '"der"'] });
		const version = await verify("Ed25519", { message, signature, version: 9 });
		expectProblem(version, 404, "version_not_found", { says: ["1 to 1", "9"] });
		const short = await verify("ES384", { digest: bytesOf(32), signature });
		expectProblem(short, 422, "invalid_digest_length", { says: ["48", "32"] });
	});

	it("lets a verifier verify, with what it may not sign with", async () => {
		const token = await tenant.token("verifier");
		const { key, signature } = of("HS256");
		const json = { message, signature };
		const verified = await tenant.call("POST", `/v1/keys/${key.id}/verify`, { token, json });
		expect(verified.json).toEqual({ valid: true, version: 1 });
		const tried = await tenant.call("POST", `/v1/keys/${key.id}/sign`, {
			token,
			json: { message },
		});
		expectProblem(tried, 403, "role_forbidden", { says: ["admin, signer", "verifier"] });
	});
});

describe("a signature of ECDSA in DER", () => {
	it.each(ecdsa)("of %s verifies, and is false with a bit of r or s turned", async (name) => {
		const { key } = of(name);
		const { signature } = await signed(tenant, key.id, { message, encoding: "der" });
		const ask = (text: string) => verify(name, { message, signature: text, encoding: "der" });
		expect((await ask(signature)).json).toEqual({ valid: true, version: 1 });
		const bytes = decoded(signature);
		// The lowest bits of r and of s: the structure around them stays as it is.
		const header = bytes[1] === 0x81 ? 3 : 2;
		const endOfR = header + 2 + (bytes[header + 1] ?? 0) - 1;
		for (const at of [endOfR, bytes.length - 1]) {
			expect((await ask(toBase64(flipped(bytes, 8 * at)))).json).toEqual({ valid: false });
		}
	});

	it.each([
		["nothing", ""],
		["an empty sequence", "3000"],
		["one number", "3003020101"],
		["three numbers", "3009020101020101020101"],
		["something after it", "300602010102010100"],
		["a length that is too long", "3008020101020101"],
		["a length in the long form", "308106020101020101"],
		["a negative number", "3006020181020101"],
		["a number with a zero too many", "300702020001020101"],
		["a number longer than the curve", `302602${"21"}01${"00".repeat(32)}020101`],
		["a number of no bytes", "30050200020101"],
		["another type than INTEGER", "3006040101020101"],
		["an indefinite length", "30800201010201010000"],
		["the raw form", "01".repeat(64)],
	])("is refused when it is not: %s", async (_, hex) => {
		const der = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
		const json = { message, signature: toBase64(der), encoding: "der" };
		expectProblem(await verify("ES256", json), 422, "malformed_signature", {
			says: ["ES256", "ECDSA-Sig-Value"],
		});
	});

	it("is false when its numbers are out of range", async () => {
		for (const hex of ["3006020100020100", "3006020101020101"]) {
			const der = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
			const json = { message, signature: toBase64(der), encoding: "der" };
			expect((await verify("ES256K", json)).json).toEqual({ valid: false });
		}
	});

	it("may have a high s where a low one was signed: both are the same signature", async () => {
		const order = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141n;
		const { bytes } = of("ES256K");
		const s = BigInt(`0x${Array.from(bytes.slice(32), hexOf).join("")}`);
		const high = (order - s).toString(16).padStart(64, "0");
		const other = Uint8Array.from([
			...bytes.slice(0, 32),
			...(high.match(/../g) ?? []).map((pair) => Number.parseInt(pair, 16)),
		]);
		const answer = await verify("ES256K", { message, signature: toBase64(other) });
		expect(answer.json).toEqual({ valid: true, version: 1 });
	});
});

it("answers hello of one key as false with every other key of the same kind of signature", async () => {
	const { signature } = await signed(tenant, of("ES256").key.id, { message: hello });
	for (const name of ["ES256K", "Ed25519", "BIP340"] as const) {
		expect((await verify(name, { message: hello, signature })).json).toEqual({ valid: false });
	}
});

function hexOf(byte: number): string {
	return byte.toString(16).padStart(2, "0");
}
