import { expect, it } from "vitest";
import { utf8 } from "../../src/lib/bytes.ts";
import { hello, newKey } from "../support/keys.ts";
import { newTenant } from "../support/tenant.ts";
import { newIdempotencyKey, storedEntries } from "./support.ts";

const latin1 = new TextDecoder("latin1");

/** All that is stored, as one text in which every byte is a character. */
async function storedText(): Promise<string> {
	const values = (await storedEntries()).flatMap((entry) => Object.values(entry));
	return values
		.map((value) => (value instanceof ArrayBuffer ? latin1.decode(value) : String(value)))
		.join("\n");
}

it("what is stored has no token, signature, message, claim, idempotency key or token id in it", async () => {
	const { length: others } = await storedEntries();
	const tenant = await newTenant();
	const tokenId = "01900000-0000-7000-8000-0000000000aa";
	const token = await tenant.token("admin", { id: tokenId });
	const key = newIdempotencyKey();
	const call = (path: string, json: unknown, suffix: string) =>
		tenant.call("POST", path, { token, json, headers: { "Idempotency-Key": `${key}${suffix}` } });
	const { id } = await newKey(tenant);
	const made = await call("/v1/tokens", { name: "a-name-to-look-for", role: "signer" }, "-1");
	const signed = await call(`/v1/keys/${id}/sign`, { message: hello }, "-2");
	const claims = { sub: "a-subject-to-look-for" };
	const jwt = await call(`/v1/keys/${id}/jwt`, { claims, expiresIn: 60 }, "-3");
	const refused = await call("/v1/keys/a-key-to-look-for/sign", { message: hello }, "-4");
	expect([made, signed, jwt, refused].map(({ status }) => status)).toEqual([201, 200, 200, 404]);

	const text = await storedText();
	expect(await storedEntries()).toHaveLength(others + 4);
	const secrets = [
		made.json.token,
		made.json.token.slice(-43),
		made.json.id,
		"a-name-to-look-for",
		signed.json.signature,
		hello,
		"hello",
		jwt.json.token,
		"a-subject-to-look-for",
		"a-key-to-look-for",
		key,
		tokenId,
		token,
	];
	for (const secret of secrets) {
		expect(secret).toBeTypeOf("string");
		expect(text).not.toContain(latin1.decode(utf8(secret)));
	}
});
