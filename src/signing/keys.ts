import { inScope, toLike } from "../auth/patterns.ts";
import type { Caller } from "../auth/tokens.ts";
import { type ChangeServices, changing } from "../coordination/change.ts";
import { type Database, isCheckViolation, isUniqueViolation } from "../db/client.ts";
import type { Page, VersionPage } from "../db/columns.ts";
import {
	findKey,
	insertKey,
	insertVersion,
	type KeyChange,
	type KeyFilter,
	type KeyRow,
	type KeyWithVersions,
	type NewVersion,
	selectKeys,
	selectVersions,
	type VersionRow,
	updateKey as writeChange,
	moveKey as writeMove,
} from "../db/keys.ts";
import { type Failure, fail, failField, inField } from "../errors.ts";
import { toBase64 } from "../lib/bytes.ts";
import type { Random } from "../lib/random.ts";
import { ok, type Result } from "../lib/result.ts";
import { uuidv7 } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import type { AlgorithmName, KeyState, PublicJwk } from "../model.ts";
import { algorithms } from "./algorithms.ts";
import { type LoadServices, loadKey, loadVersion, readKey } from "./loaded.ts";
import { badMinimum, nameTaken, outOfScope, publicOnly, refusedMove } from "./refusals.ts";
import { takeSpareKey } from "./spares.ts";
import { lifecycle, type Move } from "./states.ts";
import type { Algorithm, KeyMaterial } from "./types.ts";

export interface KeyServices extends LoadServices {
	readonly random: Random;
	readonly caches: { dropTenant(tenant: string): void };
	readonly forgetTenant: (tenant: string, epoch?: number) => void;
	readonly coordinator: ChangeServices["coordinator"];
}

/** What the API shows of a key: its row, and the public half of its current version. */
export interface DescribedKey {
	readonly row: KeyRow;
	readonly publicJwk: PublicJwk | null;
}

export interface NewKeyRequest {
	readonly name: string;
	readonly algorithm: AlgorithmName;
	readonly tags: Readonly<Record<string, string>>;
	/** Bits of an RSA modulus; undefined for the algorithm's default. */
	readonly modulusLength?: number | undefined;
}

export interface ImportRequest extends Omit<NewKeyRequest, "modulusLength"> {
	/** A JWK, or a PEM with PKCS#8 or SPKI. */
	readonly key: string | Readonly<Record<string, unknown>>;
}

export async function createKey(
	services: KeyServices,
	caller: Caller,
	request: NewKeyRequest,
): Promise<Result<DescribedKey, Failure>> {
	if (!inScope(caller.keyPatterns, request.name)) return outOfScope(request.name);
	const algorithm = algorithms[request.algorithm];
	const { modulusLength } = request;
	if (modulusLength !== undefined && !algorithm.modulusLengths?.includes(modulusLength)) {
		const allowed = algorithm.modulusLengths?.join(", ") ?? "no modulusLength";
		return failField(
			"algorithm_unsupported",
			"/modulusLength",
			`${algorithm.name} takes ${allowed}, not ${modulusLength}.`,
		);
	}
	// An RSA key is dear to make: not for a name that is in use.
	if (algorithm.modulusLengths && (await findKey(services.db, caller.tenant, request.name))) {
		return nameTaken(request.name);
	}
	return addKey(services, caller, request, await generate(services, algorithm, modulusLength));
}

export async function importKey(
	services: KeyServices,
	caller: Caller,
	request: ImportRequest,
): Promise<Result<DescribedKey, Failure>> {
	if (!inScope(caller.keyPatterns, request.name)) return outOfScope(request.name);
	const material = await algorithms[request.algorithm].importKey(request.key);
	if (!material.ok) return inField(material, "/key");
	return addKey(services, caller, request, material.value);
}

export async function describeKey(
	{ db }: Pick<KeyServices, "db">,
	caller: Caller,
	ref: string,
): Promise<Result<DescribedKey, Failure>> {
	const key = await readKey(db, caller, ref);
	return key.ok ? ok(describe(key.value)) : key;
}

/** The key, and a page of its versions, newest first. */
export async function listVersions(
	{ db }: Pick<KeyServices, "db">,
	caller: Caller,
	ref: string,
	page: VersionPage,
) {
	const key = await readKey(db, caller, ref);
	if (!key.ok) return key;
	const versions = await selectVersions(db, caller.tenant, key.value.id, page);
	return ok({ key: key.value, versions });
}

/** Only the keys that the token is for. */
export async function listKeys(
	{ db }: KeyServices,
	caller: Caller,
	filter: Omit<KeyFilter, "namePatterns">,
	page: Page,
): Promise<KeyRow[]> {
	const namePatterns = caller.keyPatterns?.map(toLike) ?? null;
	return selectKeys(db, caller.tenant, { ...filter, namePatterns }, page);
}

export async function updateKey(
	services: KeyServices,
	caller: Caller,
	ref: string,
	fields: KeyChange,
	fence = false,
): Promise<Result<DescribedKey, Failure>> {
	if (fields.name !== undefined && !inScope(caller.keyPatterns, fields.name)) {
		return outOfScope(fields.name);
	}
	return change(services, caller, ref, { move: "update", fence }, async (db, key) => {
		try {
			const row = await writeChange(db, caller.tenant, key, fields);
			return row && ok(describe({ ...key, ...row }));
		} catch (error) {
			if (isUniqueViolation(error, "keys_by_name")) return nameTaken(fields.name ?? key.name);
			if (isCheckViolation(error, "keys_minimum_versions")) return badMinimum(key, fields);
			throw error;
		}
	});
}

/** Enables, disables, restores, or schedules the deletion in `days` days. */
export async function moveKey(
	services: KeyServices,
	caller: Caller,
	ref: string,
	move: Extract<Move, "enable" | "disable" | "restore" | "delete">,
	{ days = 0, fence = false }: { readonly days?: number; readonly fence?: boolean } = {},
): Promise<Result<DescribedKey, Failure>> {
	return change(services, caller, ref, { move, fence }, async (db, key, to) => {
		const row = await writeMove(db, caller.tenant, key, { to, days });
		return row && ok(describe({ ...key, ...row }));
	});
}

/** A new version of the same algorithm and size, which signs from now on. */
export async function rotateKey(
	services: KeyServices,
	caller: Caller,
	ref: string,
	fence = false,
): Promise<Result<DescribedKey, Failure>> {
	const current = await readKey(services.db, caller, ref);
	if (!current.ok) return current;
	const { id, algorithm: name, versions } = current.value;
	const refused = refuseRotation(current.value);
	if (refused) return refused;
	// Before the change is announced, and once however often it has to be tried: finding primes is dear.
	const algorithm = algorithms[name];
	const material = await generate(services, algorithm, sizeOfNext(algorithm, versions[0]));
	const rotated = change(services, caller, ref, { move: "rotate", fence }, async (db, key) => {
		const refusedNow = refuseRotation(key);
		if (refusedNow) return refusedNow;
		if (key.id !== id) return null; // another one has the name now
		const next = { id, version: key.current_version + 1, algorithm: name };
		const secret = material.secret?.slice() ?? null; // sealing wipes it
		const version = await seal(services, caller, next, { ...material, secret });
		const row = await insertVersion(db, caller.tenant, key, version);
		return row && ok(describe(row));
	});
	return rotated.finally(() => material.secret?.fill(0));
}

function refuseRotation(key: KeyWithVersions) {
	const next = lifecycle.rotate[key.state];
	if ("refuse" in next) return refusedMove(next.refuse, key);
	if (!key.has_private) return publicOnly(key.name);
	if (key.current_version < limits.keyVersions) return null;
	return fail("too_many_versions", `A key has at most ${limits.keyVersions} versions.`);
}

/** Of an RSA modulus, in bits. One of a size that WebCrypto does not make was imported, and gets a larger one. */
function sizeOfNext({ modulusLengthOf, modulusLengths }: Algorithm, current?: VersionRow) {
	const size = current?.public_jwk ? modulusLengthOf(current.public_jwk) : undefined;
	if (size === undefined || size % limits.rsaModulusBitsStep === 0) return size;
	return modulusLengths?.find((made) => made > size);
}

/** The public half of a version; of the current one when none is named. In any state: it is public. */
export async function publicKeyOf(
	services: KeyServices,
	caller: Caller,
	ref: string,
	version?: number,
): Promise<Result<{ algorithm: Algorithm; jwk: PublicJwk }, Failure>> {
	const key = await loadKey(services, caller, ref);
	if (!key.ok) return key;
	const { algorithm, row } = key.value;
	const found = await loadVersion(services, key.value, version ?? row.current_version);
	if (!found.ok) return found;
	const jwk = found.value.publicJwk;
	if (!jwk)
		return failField("format_unsupported", "/format", `${algorithm.name} has no public key.`);
	return ok({ algorithm, jwk });
}

/**
 * What was changed, as it is now, when nobody knows how far the change came to be heard of: it is
 * announced once more, so that the answer promises what the change's own would have.
 */
export async function describeChanged(
	services: KeyServices,
	caller: Caller,
	id: string,
	fence = false,
): Promise<Result<DescribedKey, Failure>> {
	return changing(services, caller.tenant, { fence }, (db) => describeKey({ db }, caller, id));
}

/** Announced, so that no isolate goes on with the old state for longer than a lease. */
function change(
	services: KeyServices,
	caller: Caller,
	ref: string,
	{ move, fence }: { readonly move: Move; readonly fence: boolean },
	write: Write,
): Promise<Result<DescribedKey, Failure>> {
	return changing(services, caller.tenant, { fence }, (db) =>
		compareAndSet(db, caller, ref, move, write),
	);
}

type Write = (
	db: Database,
	key: KeyWithVersions,
	to: KeyState,
) => Promise<Result<DescribedKey, Failure> | null>;

/** Reads, decides by the table of moves, and writes only if nothing moved meanwhile; else once more. */
async function compareAndSet(
	db: Database,
	caller: Caller,
	ref: string,
	move: Move,
	write: Write,
): Promise<Result<DescribedKey, Failure>> {
	for (let attempt = 0; attempt < limits.casAttempts; attempt++) {
		const key = await readKey(db, caller, ref);
		if (!key.ok) return key;
		const next = lifecycle[move][key.value.state];
		if ("refuse" in next) return refusedMove(next.refuse, key.value);
		const written = await write(db, key.value, next.to);
		if (written) return written;
	}
	return fail("concurrent_change", `The key "${ref}" is being changed by others; try again.`);
}

async function addKey(
	services: KeyServices,
	caller: Caller,
	{ name, algorithm, tags }: Omit<NewKeyRequest, "modulusLength">,
	material: KeyMaterial,
): Promise<Result<DescribedKey, Failure>> {
	const id = uuidv7(services.clock, services.random);
	const first = await seal(services, caller, { id, version: 1, algorithm }, material);
	try {
		const key = { id, name, algorithm, tags, createdBy: caller.tokenId, first };
		const inserted = await insertKey(services.db, caller.tenant, key);
		// The key set that is shown has one more. No epoch moves: nothing that was true is not.
		services.caches.dropTenant(caller.tenant);
		return ok(describe(inserted));
	} catch (error) {
		if (isUniqueViolation(error, "keys_by_name")) return nameTaken(name);
		throw error;
	}
}

/** A key made ahead where one waits, else one made now. */
async function generate(
	services: KeyServices,
	algorithm: Algorithm,
	modulusLength?: number,
): Promise<KeyMaterial> {
	const bits = modulusLength ?? algorithm.modulusLengths?.[0];
	const spare = bits === undefined ? null : await takeSpareKey(services, bits);
	return spare ?? algorithm.generate(bits);
}

async function seal(
	{ envelope }: KeyServices,
	{ tenant }: Caller,
	{ id, version, algorithm }: { id: string; version: number; algorithm: AlgorithmName },
	{ secret, publicJwk }: KeyMaterial,
): Promise<NewVersion> {
	if (!secret) return { version, publicJwk, kekId: null, sealed: null };
	const sealed = await envelope.seal(secret, { tenant, keyId: id, version, algorithm });
	secret.fill(0);
	return { version, publicJwk, kekId: sealed.kekId, sealed: toBase64(sealed.bytes) };
}

function describe(key: KeyWithVersions): DescribedKey {
	return { row: key, publicJwk: key.versions[0]?.public_jwk ?? null };
}
