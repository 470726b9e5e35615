import type { Bytes } from "../../../src/lib/bytes.ts";
import { ok } from "../../../src/lib/result.ts";
import { algorithms } from "../../../src/signing/algorithms.ts";
import { decodeSignature, encodeSignature } from "../../../src/signing/signature.ts";
import type { KeyMaterial } from "../../../src/signing/types.ts";
import type { Subject } from "./messages.ts";

const messageBytes = 32;

/** One signature or verification, with the same input each time. */
export type Operation = () => unknown;

/** What both sides work on: the same key, the same input, the same signature. */
export interface Fixture {
	readonly secret: Bytes;
	readonly publicJwk: KeyMaterial["publicJwk"];
	readonly input: Bytes;
	readonly signature: Bytes;
}

export async function newFixture({ algorithm, key, kind }: Subject): Promise<Fixture> {
	const row = algorithms[algorithm];
	const imported = key === undefined ? ok(await row.generate()) : await row.importKey(key);
	if (!imported.ok || !imported.value.secret)
		throw new Error(`a key of ${algorithm} has no secret`);
	const { secret, publicJwk } = imported.value;
	const length = kind === "digest" ? (row.digestBytes ?? 0) : messageBytes;
	const input = crypto.getRandomValues(new Uint8Array(length));
	const signer = await row.signer(secret, kind);
	const { bytes } = await signer(input);
	return { secret, publicJwk, input, signature: bytes };
}

/** As src/signing/sign.ts does it for a key that is open: sign and write, or read and verify. */
export async function serviceOperation(
	{ algorithm, kind, job }: Subject,
	{ secret, publicJwk, input, signature }: Fixture,
): Promise<Operation> {
	const row = algorithms[algorithm];
	if (job === "sign") {
		const signer = await row.signer(secret, kind);
		return async () => encodeSignature((await signer(input)).bytes, "raw");
	}
	const verifier = await row.verifier(publicJwk ? { publicJwk } : { secret }, kind);
	const text = encodeSignature(signature, "raw");
	return async () => {
		const bytes = decodeSignature(row, text, "raw");
		if (!bytes.ok || !(await verifier(input, bytes.value))) throw new Error("it must verify");
	};
}
