import { exports } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import { toBase64, utf8 } from "../../src/lib/bytes.ts";
import { type AlgorithmName, algorithmNames } from "../../src/model.ts";
import { expectProblem } from "../support/answers.ts";
import { bytesOf, digestBytes, hello, type Key, newKey, newKeyIn } from "../support/keys.ts";
import { type Answer, type CallOptions, newTenant, type Tenant } from "../support/tenant.ts";

const mebibyte = 1024 * 1024;
const bodyBytesSign = 1536 * 1024;

let tenant: Tenant;
let key: Key;
beforeAll(async () => {
	tenant = await newTenant();
	key = await newKey(tenant);
});

function sign(json: unknown, ref = key.id): Promise<Answer> {
	return tenant.call("POST", `/v1/keys/${ref}/sign`, { json });
}

function send(body: BodyInit, type: string | null = "application/json"): Promise<Answer> {
	const headers: CallOptions["headers"] = type === null ? {} : { "Content-Type": type };
	return tenant.call("POST", `/v1/keys/${key.id}/sign`, { body, headers });
}

/** The bytes as a stream, so that no length is told. */
function inChunksOf(count: number, bytes: Uint8Array): ReadableStream<Uint8Array> {
	return new ReadableStream({
		start(controller) {
			for (let at = 0; at < bytes.length; at += count) {
				controller.enqueue(bytes.slice(at, at + count));
			}
			controller.close();
		},
	});
}

describe("a body that is no JSON", () => {
	it.each([
		["words", "hello"],
		["a cut-off object", '{"message":"aGk="'],
		["a comma too many", '{"message":"aGk=",}'],
		["single quotes", "{'message':'aGk='}"],
		["two values", "{}{}"],
		["NaN", '{"version":NaN}'],
		["white space alone", "  "],
		["a raw line feed in a text", '{"message":"a\nb"}'],
	])("is refused: %s", async (_, body) => {
		expectProblem(await send(utf8(body)), 400, "invalid_json", { says: ["RFC 8259"] });
	});

	it.each([
		["latin-1", [0xfc]],
		["half a surrogate pair", [0xed, 0xa0, 0x80]],
		["a character that is cut off", [0xe2, 0x82]],
		["an overlong form", [0xc0, 0xaf]],
		["a byte that is in no text", [0xff]],
	])("is refused when it is not UTF-8: %s", async (_, bytes) => {
		const body = Uint8Array.from([...utf8('{"message":"'), ...bytes, ...utf8('"}')]);
		expectProblem(await send(body), 400, "invalid_json", { says: ["UTF-8"] });
		expectProblem(await send(inChunksOf(1, body)), 400, "invalid_json", { says: ["UTF-8"] });
	});

	it("is taken after a byte order mark, as RFC 8259 allows", async () => {
		const body = utf8('\ufeff{"message":""}');
		for (const sent of [body, inChunksOf(1, body)]) expect((await send(sent)).status).toBe(200);
	});

	it.each([
		["text/plain", '"text/plain"'],
		["application/x-www-form-urlencoded", '"application/x-www-form-urlencoded"'],
		["application/jsonp", '"application/jsonp"'],
		["multipart/form-data; boundary=x", '"multipart/form-data"'],
	])("is refused as %s, whatever is in it", async (type, shown) => {
		const answer = await send(utf8('{"message":""}'), type);
		expectProblem(answer, 415, "unsupported_media_type", { says: ["application/json", shown] });
	});

	it("is refused in a coding, which is named", async () => {
		const path = "/v1/keys/payments/sign";
		const gzip = { "Content-Encoding": "gzip", "Content-Type": "application/json" };
		const answer = await tenant.call("POST", path, { body: utf8("?"), headers: gzip });
		expectProblem(answer, 415, "unsupported_media_type", { says: ["Content-Encoding", "gzip"] });
	});

	it("is refused without a type", async () => {
		const answer = await send(utf8('{"message":""}'), null);
		expectProblem(answer, 415, "unsupported_media_type", { says: ["application/json", "none"] });
	});

	it.each(["application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x=y"])(
		"is taken as %s",
		async (type) => {
			expect((await send(utf8('{"message":""}'), type)).status).toBe(200);
		},
	);

	it("is refused when there is nothing, and says what was wanted", async () => {
		expectProblem(await send(utf8("")), 400, "invalid_request", { pointer: "", says: ["object"] });
	});
});

describe("a body without a length and without anything in it", () => {
	const nothing = () => inChunksOf(1, utf8(""));
	const enable = (body: BodyInit, headers: CallOptions["headers"] = {}) =>
		tenant.call("POST", `/v1/keys/${key.id}/enable`, { body, headers });

	it("is none where none is wanted, whatever its type, as with Content-Length: 0", async () => {
		for (const body of [utf8(""), nothing()]) expect((await enable(body)).status).toBe(200);
		const answer = await enable(nothing(), { "Content-Type": "text/plain" });
		expect(answer.status, answer.text).toBe(200);
	});

	it("is missing where one is wanted", async () => {
		const answer = await send(nothing(), null);
		expectProblem(answer, 400, "invalid_request", { pointer: "", says: ["object"] });
	});

	it("has to have a type with the first byte", async () => {
		const answer = await enable(inChunksOf(1, utf8("{}")));
		expectProblem(answer, 415, "unsupported_media_type", { says: ["application/json", "none"] });
	});
});

describe("a body that is nested", () => {
	const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;

	it("is refused beyond 16 levels", async () => {
		for (const depth of [17, 100, 100_000]) {
			const answer = await send(utf8(nested(depth)));
			expectProblem(answer, 400, "too_deep", { says: ["16"] });
		}
	});

	it("is read down to 16 levels, and refused for what it is", async () => {
		expectProblem(await send(utf8(nested(16))), 400, "invalid_request", { pointer: "" });
	});

	it("may have any number of brackets in its texts", async () => {
		const answer = await sign({ message: "[".repeat(40) });
		expectProblem(answer, 400, "invalid_base64", { pointer: "/message" });
	});
});

describe("a body that is too large", () => {
	it("is refused by its Content-Length", async () => {
		const body = `{"message":"","version":1${" ".repeat(bodyBytesSign)}}`;
		const says = [String(bodyBytesSign)];
		expectProblem(await send(utf8(body)), 413, "body_too_large", { says });
	});

	it("is refused while it comes in, when no length was told", async () => {
		const chunk = utf8(" ".repeat(64 * 1024));
		let sent = 0;
		const stream = new ReadableStream<Uint8Array>({
			pull(controller) {
				sent++;
				controller.enqueue(chunk);
				// Far more than any route takes: a reader that does not stop would get all of it.
				if (sent === 400) controller.close();
			},
		});
		expectProblem(await send(stream), 413, "body_too_large", { says: [String(bodyBytesSign)] });
		expect(sent).toBeLessThan(100);
	});

	it("is taken in many small chunks without a length", async () => {
		const answer = await send(inChunksOf(1, utf8(`{"message":"${hello}"}`)));
		expect(answer.status, answer.text).toBe(200);
		expect(answer.json).toEqual((await sign({ message: hello })).json);
	});

	it("is taken when it is exactly as large as it may be", async () => {
		const head = `{"message":"${hello}"`;
		const body = `${head}${" ".repeat(bodyBytesSign - head.length - 1)}}`;
		expect((await send(utf8(body))).status).toBe(200);
		expectProblem(await send(utf8(`${body} `)), 413, "body_too_large");
	});

	it("is refused on other routes beyond 64 KiB", async () => {
		const json = { name: "large", algorithm: "Ed25519", tags: { a: "x".repeat(64 * 1024) } };
		const answer = await tenant.call("POST", "/v1/keys", { json });
		expectProblem(answer, 413, "body_too_large", { says: ["65536"] });
	});

	it("is not read for a caller who may not send it", async () => {
		const answer = await exports.default.fetch(`https://edgesign.test/v1/keys/${key.id}/sign`, {
			method: "POST",
			body: new ReadableStream({ pull: () => new Promise<void>(() => {}) }),
		});
		expect(answer.status).toBe(401);
	});
});

describe("a message that is too large", () => {
	it("is refused with one byte more than 1 MiB", async () => {
		const message = toBase64(new Uint8Array(mebibyte + 1));
		const says = [String(mebibyte)];
		expectProblem(await sign({ message }), 413, "message_too_large", { pointer: "/message", says });
	});

	it("is refused unread when it is far longer", async () => {
		const message = "!".repeat(mebibyte + mebibyte / 2 - 100);
		expectProblem(await sign({ message }), 413, "message_too_large", { pointer: "/message" });
	});
});

describe("a field that is wrong", () => {
	it.each([
		["a message that is a number", { message: 5 }, "/message", ["string"]],
		["a message that is null", { message: null }, "/message", ["string"]],
		["a message that is a list", { message: [hello] }, "/message", ["string"]],
		["a digest that is an object", { digest: {} }, "/digest", ["string"]],
		["a version that is text", { message: hello, version: "1" }, "/version", ["number", '"1"']],
		["a version of 0", { message: hello, version: 0 }, "/version", ["1", "0"]],
		["a version of 1.5", { message: hello, version: 1.5 }, "/version", ["1.5"]],
		["a version of 1001", { message: hello, version: 1001 }, "/version", ["1000", "1001"]],
		["an unknown encoding", { message: hello, encoding: "hex" }, "/encoding", ["raw", '"hex"']],
		["an encoding that is null", { message: hello, encoding: null }, "/encoding", ["raw"]],
		["neither message nor digest", {}, "/message", ["one of the two"]],
		["message and digest", { message: hello, digest: bytesOf(32) }, "/message", ["not both"]],
	])("is refused: %s", async (_, json, pointer, says) => {
		expectProblem(await sign(json), 400, "invalid_request", { pointer, says });
	});

	it.each([
		["a field that there is not", { message: hello, algorithm: "ES256" }, "/algorithm"],
		["a field in other case", { Message: hello }, "/Message"],
		["a field named like a method", { message: hello, toString: "x" }, "/toString"],
	])("is refused: %s", async (_, json, pointer) => {
		expectProblem(await sign(json), 400, "unknown_field", { pointer, says: [pointer] });
	});

	it.each([
		["half a surrogate pair", "a\ud800", "/a\ufffd"],
		["a pair where it is cut", `${"x".repeat(63)}😀`, `/${"x".repeat(63)}`],
		["a half where it is cut", `${"x".repeat(63)}\ud83d.`, `/${"x".repeat(63)}`],
	])(
		"is refused in well-formed Unicode with a field whose name has %s",
		async (_, name, pointer) => {
			const answer = await sign({ message: hello, [name]: 1 });
			expect(answer.text).not.toMatch(/\\ud[89a-f]/i);
			expectProblem(answer, 400, "unknown_field", { pointer, says: [pointer] });
		},
	);

	it.each([[[]], ["text"], [5], [null], [true]])(
		"is refused as a whole when it is %j",
		async (json) => {
			expectProblem(await sign(json), 400, "invalid_request", { pointer: "", says: ["object"] });
		},
	);

	it.each([
		["a space", "aGVs bG8="],
		["a line feed at its end", "aGVsbG8=\n"],
		["a character of neither alphabet", "aGVsbG8*"],
		["both alphabets", "+-+-"],
		["too much padding", "aGVsbG8=="],
		["padding of padding", "aGVsbA==="],
		["padding in the middle", "aG=VsbG8="],
		["one character too many", "aGVsbG8aa"],
		["bits that are not zero", "aGVsbG9="],
		["nothing but padding", "===="],
	])("is refused as base64: %s", async (_, message) => {
		const rule = "base64 (RFC 4648";
		for (const field of ["message", "digest"]) {
			const answer = await sign({ [field]: message });
			expectProblem(answer, 400, "invalid_base64", { pointer: `/${field}`, says: [rule] });
		}
	});

	it("is not repeated when it may be a secret", async () => {
		const answer = await sign({ message: "cGFzc3dvcmQ*", digest: 12345678 });
		expect(answer.text).not.toContain("cGFzc3dvcmQ");
		expect(answer.text).not.toContain("12345678");
	});
});

describe("a digest", () => {
	const withDigest = Object.entries(digestBytes) as [AlgorithmName, number][];
	const without = algorithmNames.filter((name) => digestBytes[name] === undefined);

	it.each(withDigest)("for %s must be %s bytes", async (algorithm, length) => {
		const { id } = await newKey(tenant, algorithm);
		for (const wrong of [0, 1, 20, length - 1, length + 1].filter((count) => count <= 64)) {
			const says = [algorithm, String(length), String(wrong)];
			expectProblem(await sign({ digest: bytesOf(wrong) }, id), 422, "invalid_digest_length", {
				says,
			});
		}
		for (const farTooLong of [65, 1_000]) {
			const answer = await sign({ digest: bytesOf(farTooLong) }, id);
			expectProblem(answer, 422, "invalid_digest_length");
		}
	});

	it.each(without)("is not what %s signs", async (algorithm) => {
		const { id } = await newKey(tenant, algorithm);
		const answer = await sign({ digest: bytesOf(32) }, id);
		expectProblem(answer, 422, "digest_unsupported", { says: [algorithm, '"message"'] });
	});
});

describe("an encoding", () => {
	it.each([
		["Ed25519", "der"],
		["RS256", "der"],
		["PS256", "der"],
		["HS256", "der"],
		["BIP340", "der"],
		["BIP340", "jws"],
	] as const)("that %s has not is refused: %s", async (algorithm, encoding) => {
		const { id } = await newKey(tenant, algorithm);
		const says = [algorithm, "raw", `"${encoding}"`];
		expectProblem(await sign({ message: hello, encoding }, id), 422, "encoding_unsupported", {
			says,
		});
		const batch = await tenant.call("POST", `/v1/keys/${id}/sign-batch`, {
			json: { items: [{ message: hello }], encoding },
		});
		expectProblem(batch, 422, "encoding_unsupported", { says });
	});
});

describe("a key that can not sign", () => {
	it("because it has no such version", async () => {
		const answer = await sign({ message: hello, version: 2 });
		expectProblem(answer, 404, "version_not_found", { says: [`"${key.name}"`, "1 to 1", "not 2"] });
	});

	it.each([
		["disabled", "key_disabled"],
		["pending_deletion", "key_pending_deletion"],
	] as const)("because it is %s", async (state, code) => {
		const other = await newKeyIn(tenant, state);
		for (const ref of [other.id, other.name]) {
			const says = [`"${other.name}"`, state.replace("_", " ")];
			expectProblem(await sign({ message: hello }, ref), 409, code, { says });
		}
	});

	it("because it was imported without its private half", async () => {
		const x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
		const json = { name: "public", algorithm: "Ed25519", key: { kty: "OKP", crv: "Ed25519", x } };
		await tenant.call("POST", "/v1/keys/import", { json });
		const answer = await sign({ message: hello }, "public");
		expectProblem(answer, 409, "key_public_only", { says: ['"public"', "private half"] });
	});

	it("because it is another tenant's, by id and by name, as if it did not exist", async () => {
		const other = await newTenant();
		const theirs = await newKey(other, "Ed25519", { name: "only-theirs" });
		for (const ref of [theirs.id, "only-theirs"]) {
			const answer = await sign({ message: hello }, ref);
			expectProblem(answer, 404, "key_not_found", { says: [`"${ref}"`] });
		}
		const nobodys = await sign({ message: hello }, "nobodys");
		const {
			requestId: _a,
			detail: first,
			...refused
		} = (await sign({ message: hello }, "only-theirs")).json;
		const { requestId: _b, detail: second, ...missing } = nobodys.json;
		expect(refused).toEqual(missing);
		expect(first.replace("only-theirs", "nobodys")).toBe(second);
	});
});
