import { describe, expect, it } from "vitest";
import { fromHex, toBase64 } from "../../src/lib/bytes.ts";
import type { AlgorithmName } from "../../src/model.ts";
import { verifyStateless } from "../../src/signing/stateless.ts";
import type { Encoding } from "../../src/signing/types.ts";
import ecdsa from "../vectors/wycheproof-ecdsa.json" with { type: "json" };
import rsa from "../vectors/wycheproof-rsa.json" with { type: "json" };

/** A suite tells whether a signature holds; how it is refused is ours to say. */
const refusals: readonly string[] = ["malformed_signature", "invalid_base64"];

interface Test {
	readonly message: string;
	readonly signature: string;
}

async function verdictOn(
	{ algorithm, encoding, spki }: (typeof ecdsa.groups)[number],
	{ message, signature }: Test,
): Promise<boolean> {
	const pem = `-----BEGIN PUBLIC KEY-----\n${spki}\n-----END PUBLIC KEY-----`;
	const verified = await verifyStateless(algorithm as AlgorithmName, pem, {
		input: { kind: "message", bytes: fromHex(message) },
		signature: toBase64(fromHex(signature)),
		encoding: encoding as Encoding,
	});
	if (!verified.ok && !refusals.includes(verified.error.code)) {
		throw new Error(verified.error.detail);
	}
	return verified.ok && verified.value.valid;
}

describe("Project Wycheproof", () => {
	const groups = [...ecdsa.groups, ...rsa.groups];
	const files = [...new Set(groups.map(({ file }) => file))];

	it.each(files)("every verdict of %s is ours", async (file) => {
		const wrong: unknown[] = [];
		for (const group of groups.filter((found) => found.file === file)) {
			for (const test of group.tests) {
				if ((await verdictOn(group, test)) !== test.valid) wrong.push(test);
			}
		}
		expect(wrong).toEqual([]);
	});

	it("has valid and invalid signatures of every algorithm and encoding", () => {
		const kinds = groups.flatMap(({ algorithm, encoding, tests }) =>
			tests.map(({ valid }) => `${algorithm} ${encoding} ${valid}`),
		);
		expect(new Set(kinds).size).toBe(2 * (4 * 2 + 2));
	});
});
