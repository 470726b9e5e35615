import { inScope } from "../auth/patterns.ts";
import type { Caller } from "../auth/tokens.ts";
import type { Origin } from "../cache/origin.ts";
import { agedOut, type Moment, type Store } from "../cache/store.ts";
import { readOrKept } from "../coordination/kept.ts";
import type { Reads } from "../coordination/reads.ts";
import type { Database } from "../db/client.ts";
import {
	findKey,
	findVersion,
	type KeyRow,
	type KeyWithVersions,
	type VersionRow,
} from "../db/keys.ts";
import { type Failure, failField } from "../errors.ts";
import { type Bytes, fromBase64 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { ok, type Result } from "../lib/result.ts";
import { isUuid } from "../lib/uuid.ts";
import type { PublicJwk } from "../model.ts";
import { algorithms } from "./algorithms.ts";
import type { Envelope, Sealed } from "./envelope.ts";
import { notFound, outOfScope, publicOnly, refusedMove } from "./refusals.ts";
import { lifecycle } from "./states.ts";
import type { Algorithm, InputKind, Signer, Verifier } from "./types.ts";

/** One version in memory. Signers and verifiers are opened when they are first asked for. */
export interface LoadedVersion {
	readonly version: number;
	readonly publicJwk: PublicJwk | null;
	readonly sealed: Sealed | null;
	readonly signers: Partial<Record<InputKind, Signer>>;
	readonly verifiers: Partial<Record<InputKind, Verifier>>;
}

/** A key in memory with its newest versions, newest first. */
export interface LoadedKey {
	readonly tenant: string;
	readonly row: KeyRow;
	readonly algorithm: Algorithm;
	readonly versions: readonly LoadedVersion[];
}

export interface LoadServices {
	readonly db: Database;
	readonly reads: Reads;
	readonly envelope: Envelope;
	readonly origin: Pick<Origin, "failed">;
	readonly keyCache: Store<LoadedKey>;
	/** Versions older than those that are loaded with their key. */
	readonly versionCache: Store<LoadedVersion>;
	readonly clock: Clock;
}

/** Straight from Postgres, if the token is for it: what a change decides on. */
export async function readKey(
	db: Database,
	caller: Caller,
	ref: string,
): Promise<Result<KeyWithVersions, Failure>> {
	if (!isUuid(ref) && !inScope(caller.keyPatterns, ref)) return outOfScope(ref);
	const found = await findKey(db, caller.tenant, ref);
	if (!found) return notFound(ref);
	return inScope(caller.keyPatterns, found.name) ? ok(found) : outOfScope(ref, found);
}

/** From memory where it is there, if the token is for it; in any state. */
export async function loadKey(
	services: LoadServices,
	caller: Caller,
	ref: string,
): Promise<Result<LoadedKey, Failure>> {
	if (!isUuid(ref) && !inScope(caller.keyPatterns, ref)) return outOfScope(ref);
	const cached = services.keyCache.get(caller.tenant, ref);
	if (cached) return admitted(services, caller, ref, cached);
	const { origin, keyCache: store } = services;
	const key = await readOrKept({ origin, store }, caller.tenant, ref, async () => {
		const since = services.keyCache.now();
		const read = await services.reads.read(caller.tenant, [{ kind: "key", name: ref }]);
		const [row] = read.rows;
		const asOf = read.isKept ? agedOut(since) : since;
		return row ? rememberKey(services, caller.tenant, ref, row as KeyWithVersions, asOf) : null;
	});
	return key ? admitted(services, caller, ref, key) : notFound(ref);
}

/** What is used counts, and not what somebody only asked for. */
function admitted({ reads }: LoadServices, caller: Caller, ref: string, key: LoadedKey) {
	if (!inScope(caller.keyPatterns, key.row.name)) return outOfScope(ref, key.row);
	reads.used(caller.tenant, ref);
	return ok(key);
}

/** Puts a key that was read since then where loadKey finds it. */
export function rememberKey(
	{ keyCache }: Pick<LoadServices, "keyCache">,
	tenant: string,
	ref: string,
	row: KeyWithVersions,
	since: Moment,
): LoadedKey {
	const key = toLoaded(tenant, row);
	keyCache.set(tenant, ref, key, bytesOf(key), since);
	return key;
}

/** A key that may sign and verify now. */
export async function loadUsableKey(
	services: LoadServices,
	caller: Caller,
	ref: string,
): Promise<Result<LoadedKey, Failure>> {
	const key = await loadKey(services, caller, ref);
	if (!key.ok) return key;
	const use = lifecycle.use[key.value.row.state];
	return "refuse" in use ? refusedMove(use.refuse, key.value.row) : key;
}

/** One version of a loaded key; those older than limits.keyVersionsLoaded are read when they are asked for. */
export async function loadVersion(
	{ db, origin, versionCache }: LoadServices,
	key: LoadedKey,
	version: number,
): Promise<Result<LoadedVersion, Failure>> {
	const loaded = key.versions.find((known) => known.version === version);
	if (loaded) return ok(loaded);
	const { id, name, current_version } = key.row;
	const missing = failField(
		"version_not_found",
		"/version",
		`The key "${name}" has versions 1 to ${current_version}, not ${version}.`,
	);
	if (version > current_version) return missing;
	const cacheName = `${id} ${version}`;
	const cached = versionCache.get(key.tenant, cacheName);
	if (cached) return ok(cached);
	const older = await readOrKept(
		{ origin, store: versionCache },
		key.tenant,
		cacheName,
		async () => {
			const since = versionCache.now();
			const row = await findVersion(db, key.tenant, id, version);
			const read = row && toLoadedVersion(row);
			if (read) versionCache.set(key.tenant, cacheName, read, bytesOfVersion(read), since);
			return read;
		},
	);
	return older ? ok(older) : missing;
}

/** Opens the private half for one kind of input, once per loaded version. */
export async function signerOf(
	services: LoadServices,
	key: LoadedKey,
	version: LoadedVersion,
	kind: InputKind,
): Promise<Result<Signer, Failure>> {
	const known = version.signers[kind];
	if (known) return ok(known);
	if (!version.sealed) return publicOnly(key.row.name);
	const secret = await openSecret(services, key, version, version.sealed);
	const signer = await key.algorithm.signer(secret, kind);
	secret.fill(0);
	version.signers[kind] = signer;
	return ok(signer);
}

/** Makes the public half ready for one kind of input; a MAC verifies with its secret. */
export async function verifierOf(
	services: LoadServices,
	key: LoadedKey,
	version: LoadedVersion,
	kind: InputKind,
): Promise<Verifier> {
	const known = version.verifiers[kind];
	if (known) return known;
	const { publicJwk } = version;
	const verifier = publicJwk
		? await key.algorithm.verifier({ publicJwk }, kind)
		: await macVerifier(services, key, version, kind);
	version.verifiers[kind] = verifier;
	return verifier;
}

async function macVerifier(
	services: LoadServices,
	key: LoadedKey,
	version: LoadedVersion,
	kind: InputKind,
): Promise<Verifier> {
	if (!version.sealed) throw new Error(`key ${key.row.id} has neither half of a version`);
	const secret = await openSecret(services, key, version, version.sealed);
	const verifier = await key.algorithm.verifier({ secret }, kind);
	secret.fill(0);
	return verifier;
}

async function openSecret(
	{ envelope }: LoadServices,
	key: LoadedKey,
	{ version }: LoadedVersion,
	sealed: Sealed,
): Promise<Bytes> {
	const { id, algorithm } = key.row;
	return envelope.open(sealed, { tenant: key.tenant, keyId: id, version, algorithm });
}

function toLoaded(tenant: string, found: KeyWithVersions): LoadedKey {
	const { versions, ...row } = found;
	return {
		tenant,
		row,
		algorithm: algorithms[found.algorithm],
		versions: versions.map(toLoadedVersion),
	};
}

function toLoadedVersion(row: VersionRow): LoadedVersion {
	const bytes = row.sealed === null ? null : fromBase64(row.sealed);
	const sealed = bytes && row.kek_id !== null ? { kekId: row.kek_id, bytes } : null;
	return { version: row.version, publicJwk: row.public_jwk, sealed, signers: {}, verifiers: {} };
}

/** What a loaded version holds, about: the ciphertext, the JWK, and up to four opened keys. */
function bytesOfVersion(version: LoadedVersion): number {
	return 4096 + 3 * (version.sealed?.bytes.length ?? 0);
}

function bytesOf(key: LoadedKey): number {
	const tags = Object.entries(key.row.tags);
	const tagBytes = tags.reduce((sum, [name, value]) => sum + 2 * (name.length + value.length), 0);
	return 1024 + tagBytes + key.versions.reduce((sum, known) => sum + bytesOfVersion(known), 0);
}
