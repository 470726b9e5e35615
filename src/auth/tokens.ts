import type { Moment, Store } from "../cache/store.ts";
import { type ChangeServices, changing } from "../coordination/change.ts";
import type { Database } from "../db/client.ts";
import type { Page } from "../db/columns.ts";
import {
	findToken,
	insertToken,
	markTokenRevoked,
	rateLimitOf,
	selectTokens,
	type TokenRow,
} from "../db/tokens.ts";
import { type Failure, fail } from "../errors.ts";
import { toBase64Url, toHex, utf8 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { ok, type Result } from "../lib/result.ts";
import { sha256 } from "../lib/sha256.ts";
import { uuidv7 } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import type { RateLimit, Role } from "../model.ts";

/** Who calls: what the rest of the service knows of a bearer token. */
export interface Caller {
	readonly tenant: string;
	readonly tokenId: string;
	readonly role: Role;
	/** Globs of the keys it may use; null for every key. */
	readonly keyPatterns: readonly string[] | null;
	/** The token's own limit; null for none beyond those of its role and tenant. */
	readonly rateLimit: RateLimit | null;
}

export interface CachedToken extends Caller {
	/** Milliseconds since the epoch; Infinity for never. */
	readonly expiresAt: number;
}

export interface NewTokenRequest {
	readonly name: string;
	readonly role: Role;
	readonly keys: readonly string[] | null;
	/** Seconds; null for a token that does not expire. */
	readonly expiresIn: number | null;
	readonly rateLimit: RateLimit | null;
}

export interface TokenServices {
	readonly db: Database;
	readonly tokenCache: Store<CachedToken>;
	readonly forgetTenant: (tenant: string) => void;
	readonly coordinator: ChangeServices["coordinator"];
	readonly clock: Clock;
	readonly random: Random;
}

const tokenPattern = /^es_([a-z0-9][a-z0-9-]{0,31})_[A-Za-z0-9_-]{43}$/;

/** The token's SHA-256 in hexadecimal, the only form in which it is stored or looked up. */
export function hashToken(token: string): string {
	return toHex(sha256(utf8(token)));
}

/** `es_<tenant>_<43 characters of base64url>`: 256 bits that nobody guesses, so a plain hash keeps them. */
export function mintToken(tenant: string, random: Random): string {
	return `es_${tenant}_${toBase64Url(random(limits.tokenSecretBytes))}`;
}

/** What a caller showed: well formed, and not known to be good yet. */
export interface Credentials {
	readonly tenant: string;
	/** SHA-256 of the token, in hexadecimal. */
	readonly hash: string;
}

/** The bearer token of the Authorization header (RFC 6750 section 2.1). */
export function readCredentials(header: string | null): Result<Credentials, Failure> {
	if (!header) {
		return fail("missing_token", "Send the header Authorization: Bearer es_<tenant>_<secret>.");
	}
	const space = header.indexOf(" ");
	let start = space + 1;
	while (header.charCodeAt(start) === 0x20) start++; // one or more of them (RFC 6750 section 2.1)
	const token = header.slice(start);
	if (header.slice(0, space).toLowerCase() !== "bearer") {
		return fail("invalid_token", "The Authorization header must be Bearer and one token.");
	}
	const tenant = token.length <= limits.bearerTokenChars && tokenPattern.exec(token)?.[1];
	if (!tenant) return unknownToken();
	return ok({ tenant, hash: hashToken(token) });
}

/**
 * What is remembered of credentials by the row that was read for them; null where they are nobody's, which is
 * remembered too.
 *
 * Tokens are found by their hash: whoever does not know a token can not steer the hash of a guess,
 * so the time of the look-up tells them nothing, and no comparison of secrets is left to time.
 * @param since from before the reading
 */
export function rememberToken(
	{ tokenCache }: Pick<TokenServices, "tokenCache">,
	{ tenant, hash }: Credentials,
	row: TokenRow | null,
	since: Moment,
): CachedToken | null {
	if (!row || row.revoked_at) {
		tokenCache.setMissing(tenant, hash, since);
		return null;
	}
	const token: CachedToken = {
		tenant,
		tokenId: row.id,
		role: row.role,
		keyPatterns: row.key_patterns,
		rateLimit: rateLimitOf(row),
		expiresAt: row.expires_at ? Date.parse(row.expires_at) : Number.POSITIVE_INFINITY,
	};
	tokenCache.set(tenant, hash, token, bytesOf(row), since);
	return token;
}

/** Whether it is somebody's now. */
export function isGood(token: CachedToken | null | undefined, clock: Clock): token is CachedToken {
	return !!token && token.expiresAt > clock();
}

/** The token is in the answer and nowhere else. */
export async function createToken(
	{ db, clock, random }: TokenServices,
	caller: Caller,
	request: NewTokenRequest,
): Promise<Result<{ token: string; row: TokenRow }, Failure>> {
	const refusal = refuseScoped(caller);
	if (refusal) return refusal;
	const token = mintToken(caller.tenant, random); // the first thing of `random`, as remakeToken has it
	const row = await insertToken(db, caller.tenant, {
		id: uuidv7(clock, random),
		name: request.name,
		role: request.role,
		hash: hashToken(token),
		keyPatterns: request.keys,
		createdBy: caller.tokenId,
		expiresIn: request.expiresIn,
		rateLimit: request.rateLimit,
	});
	return row ? ok({ token, row }) : unknownToken(); // the caller was revoked since it was let in
}

/** The token that createToken made with the same randomness, when its answer was lost. */
export async function remakeToken(
	{ db, random }: TokenServices,
	caller: Caller,
): Promise<Result<{ token: string; row: TokenRow }, Failure>> {
	const token = mintToken(caller.tenant, random);
	const row = await findToken(db, caller.tenant, hashToken(token));
	if (!row) throw new Error("a token that was made is not there");
	return ok({ token, row });
}

export async function listTokens(
	{ db }: TokenServices,
	caller: Caller,
	page: Page,
): Promise<Result<TokenRow[], Failure>> {
	return refuseScoped(caller) ?? ok(await selectTokens(db, caller.tenant, page));
}

/** At once in this isolate; elsewhere within a lease (limits.leaseTtlMs), or before the answer where it is fenced. */
export async function revokeToken(
	services: TokenServices,
	caller: Caller,
	id: string,
	fence = false,
): Promise<Result<null, Failure>> {
	const refusal = refuseScoped(caller);
	if (refusal) return refusal;
	return changing(services, caller.tenant, { fence }, async (db) => {
		const revoked = await markTokenRevoked(db, caller.tenant, id);
		return revoked ? ok(null) : fail("token_not_found", `There is no token "${id}".`);
	});
}

/** It is revoked, and nobody knows how far that came to be heard of: it is announced once more. */
export async function announceRevocation(
	services: TokenServices,
	caller: Caller,
	fence = false,
): Promise<Result<null, Failure>> {
	return changing(services, caller.tenant, { fence }, async () => ok(null));
}

export function unknownToken() {
	return fail("invalid_token", "The token is not known, has expired or was revoked.");
}

/** A token for some keys that could make tokens could make one for all of them. */
export function refuseScoped(caller: Caller, what = "manage tokens") {
	return caller.keyPatterns
		? fail("scoped_token_forbidden", `This token is limited to some keys, so it can not ${what}.`)
		: null;
}

/** What a cached token holds, about: its strings and the object around them. */
function bytesOf(row: TokenRow): number {
	return 300 + (row.key_patterns ?? []).reduce((sum, pattern) => sum + 2 * pattern.length, 0);
}
