import type { Caller } from "../auth/tokens.ts";
import { type Failure, fail, failField } from "../errors.ts";
import type { Bytes } from "../lib/bytes.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Pause, Semaphore } from "../lib/semaphore.ts";
import { sleep } from "../lib/sleep.ts";
import * as limits from "../limits.ts";
import {
	type LoadedKey,
	type LoadedVersion,
	type LoadServices,
	loadUsableKey,
	loadVersion,
	signerOf,
	verifierOf,
} from "./loaded.ts";
import { belowMinimum, publicOnly } from "./refusals.ts";
import { decodeSignature, encodeSignature, refuseEncoding } from "./signature.ts";
import type { Algorithm, Encoding, Input } from "./types.ts";

export interface SignRequest {
	readonly input: Input;
	readonly encoding: Encoding;
	/** The current version when none is named. */
	readonly version?: number | undefined;
}

export interface SignAnswer {
	readonly signature: string;
	readonly encoding: Encoding;
	readonly keyId: string;
	readonly version: number;
	readonly algorithm: Algorithm["name"];
	readonly recoveryId?: number;
}

/** A signature as it is answered, and what else the audit log wants to know of it. */
export interface Signed {
	readonly answer: SignAnswer;
	readonly keyName: string;
	/** The signature in its raw form. */
	readonly bytes: Bytes;
}

export interface VerifyRequest extends SignRequest {
	readonly signature: string;
}

export interface VerifyAnswer {
	readonly valid: boolean;
	/** The version whose public half verified it. */
	readonly version?: number;
	/** Where it is not valid, and older versions that may verify were not tried: the last one that was. */
	readonly oldestVersionTried?: number;
}

/** A verification as it is answered, and what else the audit log wants to know of it. */
export interface Verified {
	readonly answer: VerifyAnswer;
	readonly key: LoadedKey["row"];
	/** The signature in its raw form. */
	readonly bytes: Bytes;
}

/** The main job. Authentication and role were checked before; key scope is checked by the look-up. */
export async function sign(
	services: LoadServices,
	caller: Caller,
	ref: string,
	request: SignRequest,
): Promise<Result<Signed, Failure>> {
	const key = await loadUsableKey(services, caller, ref);
	if (!key.ok) return key;
	const version = await signingVersion(services, key.value, request.version);
	if (!version.ok) return version;
	return signWith(services, key.value, version.value, request);
}

type BatchServices = LoadServices & { readonly batches: Pick<Semaphore, "run"> };

export interface BatchRequest<Item> {
	/** An item that could not be read is a failure already, and keeps its place. */
	readonly items: readonly Result<Item, Failure>[];
	readonly encoding: Encoding;
	readonly version?: number | undefined;
}

export interface SignBatchAnswer {
	readonly key: { readonly keyId: string; readonly version: number; readonly algorithm: string };
	readonly keyName: string;
	readonly answers: readonly Result<Signed, Failure>[];
}

/** One item of a batch fails by itself; what concerns the key fails them all. */
export async function signBatch(
	services: BatchServices,
	caller: Caller,
	ref: string,
	{ items, encoding, version: named }: BatchRequest<Input>,
): Promise<Result<SignBatchAnswer, Failure>> {
	const key = await loadUsableKey(services, caller, ref);
	if (!key.ok) return key;
	const version = await signingVersion(services, key.value, named);
	if (!version.ok) return version;
	const { row, algorithm } = key.value;
	const refusal = refuseEncoding(algorithm, encoding);
	if (refusal) return refusal;
	if (!version.value.sealed) return publicOnly(row.name);
	const answers = await eachInTurn(services, items, (input) =>
		signWith(services, key.value, version.value, { input, encoding }),
	);
	if (!answers.ok) return answers;
	const shown = { keyId: row.id, version: version.value.version, algorithm: algorithm.name };
	return ok({ key: shown, keyName: row.name, answers: answers.value });
}

export async function verify(
	services: LoadServices,
	caller: Caller,
	ref: string,
	request: VerifyRequest,
): Promise<Result<Verified, Failure>> {
	const key = await loadUsableKey(services, caller, ref);
	if (!key.ok) return key;
	const versions = await verifyingVersions(services, key.value, request.version);
	return versions.ok ? verifyWith(services, key.value, versions.value, request) : versions;
}

export async function verifyBatch(
	services: BatchServices,
	caller: Caller,
	ref: string,
	{ items, encoding, version }: BatchRequest<Pick<VerifyRequest, "input" | "signature">>,
): Promise<Result<readonly Result<Verified, Failure>[], Failure>> {
	const key = await loadUsableKey(services, caller, ref);
	if (!key.ok) return key;
	const refusal = refuseEncoding(key.value.algorithm, encoding);
	if (refusal) return refusal;
	const versions = await verifyingVersions(services, key.value, version);
	if (!versions.ok) return versions;
	if (items.length * versions.value.length > limits.batchVerifications) {
		return fail(
			"too_many_verifications",
			`${items.length} items with ${versions.value.length} versions each are more than ${limits.batchVerifications}; name the version.`,
		);
	}
	return eachInTurn(services, items, (item) =>
		verifyWith(services, key.value, versions.value, { ...item, encoding, version }),
	);
}

/**
 * What becomes of each item. Other requests of the isolate have a turn every so many items, and long batches
 * wait for each other: all at once they would only end later, and single requests with them.
 */
async function eachInTurn<Item, T>(
	{ batches }: BatchServices,
	items: readonly Result<Item, Failure>[],
	work: (item: Item) => Promise<Result<T, Failure>>,
): Promise<Result<readonly Result<T, Failure>[], Failure>> {
	const workAll = async (pause: Pause) => {
		const answers: Result<T, Failure>[] = [];
		for (const [index, item] of items.entries()) {
			if (index % limits.batchItemsPerTurn === limits.batchItemsPerTurn - 1) {
				await sleep(0);
				await pause();
			}
			answers.push(item.ok ? await work(item.value) : item);
		}
		return answers;
	};
	const isLong = items.length > limits.batchItemsPerTurn;
	const answers = isLong ? await batches.run(workAll) : await workAll(async () => {});
	if (answers) return ok(answers);
	const detail = `Other batches have been at work for ${limits.batchWaitMs} ms; this one was not begun.`;
	return err<Failure>({ code: "overloaded", detail, retryAfterMs: limits.shedRetryMs });
}

/** The version that signs: the one named if it may still sign, else the current one. */
export async function signingVersion(
	services: LoadServices,
	key: LoadedKey,
	named: number | undefined,
): Promise<Result<LoadedVersion, Failure>> {
	const version = named ?? key.row.current_version;
	if (version < key.row.min_sign_version) {
		return belowMinimum(key.row, version, key.row.min_sign_version);
	}
	return loadVersion(services, key, version);
}

/** Without a version, every loaded one that may verify, newest first: a rotation breaks no signature. */
async function verifyingVersions(
	services: LoadServices,
	key: LoadedKey,
	named: number | undefined,
): Promise<Result<readonly LoadedVersion[], Failure>> {
	const minimum = key.row.min_verify_version;
	if (named === undefined) return ok(key.versions.filter((known) => known.version >= minimum));
	if (named < minimum) return belowMinimum(key.row, named, minimum);
	const version = await loadVersion(services, key, named);
	return version.ok ? ok([version.value]) : version;
}

async function signWith(
	services: LoadServices,
	key: LoadedKey,
	version: LoadedVersion,
	{ input, encoding }: SignRequest,
): Promise<Result<Signed, Failure>> {
	const { algorithm } = key;
	const refusal = refuseInput(algorithm, input) ?? refuseEncoding(algorithm, encoding);
	if (refusal) return refusal;
	const known = version.signers[input.kind];
	const signer = known ? ok(known) : await signerOf(services, key, version, input.kind);
	if (!signer.ok) return signer;
	const { bytes, recoveryId } = await signer.value(input.bytes);
	const answer = {
		signature: encodeSignature(bytes, encoding),
		encoding,
		keyId: key.row.id,
		version: version.version,
		algorithm: algorithm.name,
		...(recoveryId !== undefined && { recoveryId }),
	};
	return ok({ answer, keyName: key.row.name, bytes });
}

async function verifyWith(
	services: LoadServices,
	key: LoadedKey,
	versions: readonly LoadedVersion[],
	{ input, encoding, signature, version: named }: VerifyRequest,
): Promise<Result<Verified, Failure>> {
	const { algorithm } = key;
	const refusal = refuseInput(algorithm, input);
	if (refusal) return refusal;
	const bytes = decodeSignature(algorithm, signature, encoding);
	if (!bytes.ok) return bytes;
	const told = (answer: VerifyAnswer) => ok({ answer, key: key.row, bytes: bytes.value });
	for (const version of versions) {
		const verifier = await verifierOf(services, key, version, input.kind);
		if (await verifier(input.bytes, bytes.value)) {
			return told({ valid: true, version: version.version });
		}
	}
	const oldest = named === undefined ? versions.at(-1)?.version : undefined;
	const areLeft = oldest !== undefined && oldest > key.row.min_verify_version;
	return told({ valid: false, ...(areLeft && { oldestVersionTried: oldest }) });
}

/** What the algorithm can not sign or verify: a digest where it takes none, or one of another length. */
export function refuseInput({ name, digestBytes }: Algorithm, input: Input) {
	if (input.kind === "message") return null;
	if (digestBytes === null) {
		return failField(
			"digest_unsupported",
			"/digest",
			`${name} signs messages only; send "message".`,
		);
	}
	if (input.bytes.length === digestBytes) return null;
	return failField(
		"invalid_digest_length",
		"/digest",
		`${name} takes a digest of ${digestBytes} bytes, not ${input.bytes.length}.`,
	);
}
