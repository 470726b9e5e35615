import { allows, type Permission, permissions } from "../auth/roles.ts";
import {
	type CachedToken,
	type Caller,
	type Credentials,
	isGood,
	readCredentials,
	rememberToken,
	unknownToken,
} from "../auth/tokens.ts";
import { agedOut, type Moment } from "../cache/store.ts";
import { readOrKept } from "../coordination/kept.ts";
import type { KeyWithVersions } from "../db/keys.ts";
import type { Wanted } from "../db/together.ts";
import type { TokenRow } from "../db/tokens.ts";
import { type Failure, fail } from "../errors.ts";
import { err, ok, type Result } from "../lib/result.ts";
import * as limits from "../limits.ts";
import { addressOf } from "../ratelimit/address.ts";
import type { NoLease, Price, Spending } from "../ratelimit/lease.ts";
import type { LimitState } from "../ratelimit/messages.ts";
import { laneOf, type Operation, operations } from "../ratelimit/policy.ts";
import type { Services } from "../services.ts";
import { rememberKey } from "../signing/loaded.ts";
import type { GuardedRoute } from "./route.ts";

/** What becomes known of a request's limits while it is served; the answer's headers tell it. */
export interface Meter {
	limit: LimitState | null;
	/** What its body holds of the isolate's memory. */
	bodyBytes?: number;
}

/** Who calls, and under which epoch of the tenant that is known. */
export interface Admitted {
	readonly caller: Caller;
	readonly epoch: number;
	/** Of the lease (LeaseBook.lifeOf). */
	readonly life: number;
}

/** What the limits count a request as, by the permission that it needs. */
const operationOf = {
	sign: "sign",
	verify: "verify",
	"keys:read": "read",
	"keys:write": "manage",
	"tokens:read": "list",
	"tokens:write": "manage",
	"config:read": "configure",
	"config:write": "configure",
	"audit:read": "list",
	"cache:read": "list",
	"cache:write": "manage",
	"usage:read": "list",
	"benchmarks:read": "list",
	"benchmarks:run": "manage",
} as const satisfies Record<Permission, Operation>;

export function operationFor(route: GuardedRoute): Operation {
	return route.operation ?? operationOf[route.permission];
}

/**
 * Who calls. What the isolate remembers of a token holds only under a lease of the same epoch; one that it does
 * not remember is looked up, and its address pays for that.
 * @param keyWanted the key that the request is about, if any
 */
export async function admit(
	services: Services,
	raw: Request,
	meter: Meter,
	keyWanted: () => string | null = () => null,
): Promise<Result<Admitted, Failure>> {
	const credentials = readCredentials(raw.headers.get("authorization"));
	if (!credentials.ok) return limitAddress(services, raw, 1, meter) ?? credentials;
	const { tenant, hash } = credentials.value;
	const remembered = remember(services, tenant, hash);
	const known = () => underLease(services, credentials.value, remembered, keyWanted);
	// One that has expired pays as one that nobody remembers: else whoever has it could ask without an end.
	return isGood(remembered.token, services.clock)
		? known()
		: lookedUp(services, raw, meter, hash, known);
}

/**
 * The same of a token that has to be looked up. Guesses are what an address pays for: one that turns out to be good
 * gets most of it back, and one that was good the last time counts as any request does. Each change of a tenant makes
 * an isolate forget its tokens, and all who use them come at once then, often from one address.
 */
async function lookedUp(
	services: Services,
	raw: Request,
	meter: Meter,
	hash: string,
	lookUp: () => Promise<Result<Admitted, Failure>>,
): Promise<Result<Admitted, Failure>> {
	const { addresses } = services;
	if (addresses.wasGood(hash)) {
		const refusal = limitAddress(services, raw, 1, meter);
		if (refusal) return refusal;
		const admitted = await lookUp();
		if (isNobody(admitted)) addresses.noteGood(hash, false);
		return admitted;
	}
	const cost = limits.addressUnknownTokenCost;
	const refusal = await limitLookUp(services, raw, cost, meter);
	if (refusal) return refusal;
	// All of it where nobody could tell: who asks while Postgres is away must not be shut out after it.
	let back: number = cost;
	try {
		const admitted = await lookUp();
		if (isNobody(admitted)) back = 0;
		else if (admitted.ok) {
			back = cost - limits.addressLookUpCost;
			addresses.noteGood(hash, true);
		}
		return admitted;
	} finally {
		if (back > 0) addresses.giveBack(addressOf(raw), back);
	}
}

function isNobody(admitted: Result<Admitted, Failure>): boolean {
	return !admitted.ok && admitted.error.code === "invalid_token";
}

/** Who calls, of somebody who was admitted before something of the tenant changed. It is not paid for again. */
export async function readmit(
	services: Services,
	raw: Request,
	keyWanted: () => string | null,
): Promise<Result<Admitted, Failure>> {
	const credentials = readCredentials(raw.headers.get("authorization"));
	if (!credentials.ok) return credentials;
	const { tenant, hash } = credentials.value;
	const remembered = remember(services, tenant, hash);
	return underLease(services, credentials.value, remembered, keyWanted);
}

function remember({ leases, tokenCache }: Services, tenant: string, hash: string): Remembered {
	const token = tokenCache.get(tenant, hash);
	return { epoch: leases.epochOf(tenant), life: leases.lifeOf(tenant), token };
}

/** What the isolate has of a token, and the lease under which it has it. */
interface Remembered {
	readonly epoch: number | null;
	readonly life: number;
	readonly token: CachedToken | null | undefined;
}

async function underLease(
	services: Services,
	credentials: Credentials,
	remembered: Remembered,
	keyWanted: () => string | null,
): Promise<Result<Admitted, Failure>> {
	const { leases } = services;
	const { tenant } = credentials;
	const term = leases.termNow(tenant) ?? (await leases.term(tenant));
	if ("kind" in term) return term.kind === "unknown_tenant" ? unknownToken() : noLease(term);
	const life = leases.lifeOf(tenant);
	const isSameLease = term.epoch === remembered.epoch && life === remembered.life;
	const known = isSameLease ? remembered.token : undefined;
	const caller = await identify(services, credentials, known, keyWanted);
	return caller.ok ? ok({ caller: caller.value, epoch: term.epoch, life }) : caller;
}

/**
 * Who calls; whether the tenant or only the secret was wrong is never told. A token that has to be read is read
 * together with the key that the request is about: one wait for both.
 * @param known what the cache has under these credentials
 */
export async function identify(
	services: Services,
	credentials: Credentials,
	known: CachedToken | null | undefined,
	keyWanted: () => string | null,
): Promise<Result<Caller, Failure>> {
	const { reads, keyCache, tokenCache, origin, clock, background } = services;
	const { tenant, hash } = credentials;
	let row = null as TokenRow | null;
	const load = async () => {
		const ref = keyWanted();
		const since = { token: tokenCache.now(), key: keyCache.now() };
		const wanted: Wanted[] = [{ kind: "token", name: hash }];
		// Also where it is remembered: to look there would count as a use, by someone not known to be good.
		if (ref !== null) wanted.push({ kind: "key", name: ref });
		const { rows, isKept } = await reads.read(tenant, wanted, background);
		const [read, key] = rows;
		const asOf = isKept ? agedOut : (moment: Moment) => moment;
		row = (read ?? null) as TokenRow | null;
		const token = rememberToken(services, credentials, row, asOf(since.token));
		// Who is nobody can not choose what is remembered here.
		if (ref !== null && key && isGood(token, clock)) {
			rememberKey(services, tenant, ref, key as KeyWithVersions, asOf(since.key));
		}
		return token;
	};
	const from = { origin, store: tokenCache };
	const token = known === undefined ? await readOrKept(from, tenant, hash, load) : known;
	if (isGood(token, clock)) return ok(token);
	const nobody = unknownToken();
	// Told once for as long as it is remembered, so that nobody fills the log with a token that has ended.
	return row ? err({ ...nobody.error, tokenId: row.id }) : nobody;
}

/** Whether what was read under this epoch is still true; a question to nobody while the lease lives. */
export function holds(
	{ leases }: Pick<Services, "leases">,
	{ caller, epoch, life }: Admitted,
): boolean | Promise<boolean> {
	// This isolate has made a change: a shard may still lend the epoch that it ended.
	if (leases.lifeOf(caller.tenant) !== life) return false;
	const term = leases.termNow(caller.tenant);
	return term ? term.epoch === epoch : leases.stillHolds(caller.tenant, epoch);
}

/** Spends what an address may do; null when it was there. A cost of 0 only tells what is left. */
export function limitAddress(
	{ addresses }: Pick<Services, "addresses">,
	raw: Request,
	cost: number,
	meter: Meter = { limit: null },
) {
	const { spent, limit, retryMs } = addresses.spend(addressOf(raw), cost);
	meter.limit = limit;
	return spent ? null : limited("address", retryMs);
}

/** The same for what has to be looked up: the platform's limiter is asked too, which counts beyond this isolate. */
export async function limitLookUp(
	services: Pick<Services, "addresses">,
	raw: Request,
	cost: number,
	meter: Meter = { limit: null },
) {
	const refusal = limitAddress(services, raw, cost, meter);
	if (refusal) return refusal;
	const answer = await services.addresses.confirm(addressOf(raw));
	if (answer === "yes") return null;
	if (answer === "no") return limited("address", limits.addressRetryMs);
	// No answer is no yes, and not the caller's fault.
	const detail = "The limiter of addresses does not answer.";
	return err<Failure>({ code: "unavailable", detail, retryAfterMs: limits.leaseFailurePauseMs });
}

/**
 * May this caller do this now: the role, the state of the service, and the tenant's limits, from
 * which the operation's cost is spent. A refused role costs a read.
 */
export async function spend(
	services: Services,
	{ role, tenant, tokenId, rateLimit }: Caller,
	route: GuardedRoute,
	{ cost, isLook = false }: Price,
	meter: Meter,
): Promise<Result<null, Failure>> {
	const { leases, shedder, background } = services;
	const mayCall = allows(role, route.permission);
	const operation = mayCall ? operationFor(route) : "read";
	const priority = operations[operation].class;
	if (shedder.refuses(priority)) return shed(priority);
	const lane = laneOf(operation, role, rateLimit && { id: tokenId, ...rateLimit });
	const price = mayCall ? { cost, isLook } : { cost: operations.read.cost };
	const spending =
		leases.spendNow(tenant, lane, price, background) ??
		(await leases.spend(tenant, lane, price, background));
	const refusal = refusalOf(spending, meter);
	if (refusal) return refusal;
	return mayCall ? ok(null) : roleForbidden(role, route.permission);
}

function refusalOf(spending: Spending, meter: Meter) {
	if (spending.kind === "unknown_tenant") return unknownToken();
	if (spending.kind === "unavailable") return noLease(spending);
	meter.limit = spending.limit;
	if (spending.kind === "spent") return null;
	const { name } = spending.limit;
	if (spending.retryMs >= 0) return limited(name, spending.retryMs);
	return fail("cost_above_limit", `The limit "${name}" never holds as much as this request costs.`);
}

/** Nothing is ever allowed because nobody could be asked. */
function noLease(reason: Extract<NoLease, { kind: "unavailable" }>) {
	const detail = "The tenant's coordinator does not answer, and without it nothing is allowed.";
	return err<Failure>({ code: "unavailable", detail, retryAfterMs: reason.retryMs });
}

function limited(bucket: string, retryMs: number) {
	const seconds = Math.max(1, Math.ceil(retryMs / 1000));
	const detail = `The limit "${bucket}" is used up; there is more in ${seconds} s.`;
	const violatedPolicies = [bucket];
	return err<Failure>({ code: "rate_limited", detail, retryAfterMs: retryMs, violatedPolicies });
}

function shed(priority: string) {
	const detail = `The service is overloaded, and operations of the class "${priority}" wait.`;
	return err<Failure>({ code: "overloaded", detail, retryAfterMs: limits.shedRetryMs });
}

export function lapsed() {
	const detail =
		"The lease ended, or a change to the tenant came in between; send the request again.";
	return fail("lease_lapsed", detail);
}

function roleForbidden(role: string, permission: Permission) {
	const allowed = permissions[permission].join(", ");
	return fail("role_forbidden", `This needs the role ${allowed}; the token has ${role}.`);
}
