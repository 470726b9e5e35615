import { describe, expect, it } from "vitest";
import { toBase64, toBase64Url } from "../../src/lib/bytes.ts";
import { algorithms } from "../../src/signing/algorithms.ts";
import { toDer } from "../../src/signing/der.ts";
import { decodeSignature, encodeSignature } from "../../src/signing/signature.ts";
import { encodings } from "../../src/signing/types.ts";
import { everyAlgorithm } from "./support.ts";

const everyEncoding = everyAlgorithm.flatMap((algorithm) =>
	encodings.map((encoding) => ({
		algorithm,
		encoding,
		name: algorithm.name,
		has: algorithm.encodings.includes(encoding),
	})),
);

describe("the encoding of a signature", () => {
	it.each(everyEncoding.filter(({ has }) => has))("$encoding of $name is read back", (row) => {
		const bytes = new Uint8Array(row.algorithm.signatureBytes ?? 256).map((_, i) => i + 1);
		const text = encodeSignature(bytes, row.encoding);
		expect(decodeSignature(row.algorithm, text, row.encoding)).toEqual({ ok: true, value: bytes });
	});

	it.each(everyEncoding.filter(({ has }) => !has))("$encoding is refused for $name", (row) => {
		const found = decodeSignature(row.algorithm, "AAAA", row.encoding);
		expect(found).toMatchObject({ ok: false, error: { code: "encoding_unsupported" } });
	});

	it("is base64 for raw and der, base64url for jws", () => {
		const bytes = new Uint8Array(64).fill(0xfb);
		expect(encodeSignature(bytes, "raw")).toBe(toBase64(bytes));
		expect(encodeSignature(bytes, "der")).toBe(toBase64(toDer(bytes)));
		expect(encodeSignature(bytes, "jws")).toBe(toBase64Url(bytes));
	});

	it.each(["raw", "der"] as const)("%s may be base64url", (encoding) => {
		const bytes = new Uint8Array(64).fill(0xfb);
		const text = encodeSignature(bytes, encoding).replaceAll("+", "-").replaceAll("/", "_");
		expect(decodeSignature(algorithms.ES256, text, encoding)).toEqual({ ok: true, value: bytes });
	});

	it.each([
		["raw", "not base64!", "invalid_base64"],
		["der", "not base64!", "invalid_base64"],
		["jws", toBase64(new Uint8Array(64).fill(0xff)), "invalid_base64"],
		["jws", `${toBase64Url(new Uint8Array(64))}==`, "invalid_base64"],
		["raw", toBase64(new Uint8Array(63)), "malformed_signature"],
		["jws", toBase64Url(new Uint8Array(65)), "malformed_signature"],
		["der", toBase64(new Uint8Array(64)), "malformed_signature"],
		["der", toBase64(toDer(new Uint8Array(96).fill(1))), "malformed_signature"],
		["raw", "", "malformed_signature"],
	] as const)("of ES256 as %s refuses %j: %s", (encoding, text, code) => {
		expect(decodeSignature(algorithms.ES256, text, encoding)).toMatchObject({ error: { code } });
	});

	it("leaves the length of an RSA signature to the key", () => {
		const bytes = new Uint8Array(5);
		const found = decodeSignature(algorithms.RS256, toBase64(bytes), "raw");
		expect(found).toEqual({ ok: true, value: bytes });
	});
});
