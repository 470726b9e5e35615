import { itemsOf } from "../audit/deed.ts";
import { type AppendCall, placeOf } from "../audit/log.ts";
import { appendOfChange } from "../audit/outbox.ts";
import {
	encodeAppend,
	firstRecordId,
	type RecordHead,
	type Target,
	timeOf,
} from "../audit/record.ts";
import type { Whereabouts } from "../audit/region.ts";
import type { Caller } from "../auth/tokens.ts";
import { type OutboxNote, withOutbox } from "../db/audit-outbox.ts";
import { type ErrorCode, type Failure, fail } from "../errors.ts";
import type { Result } from "../lib/result.ts";
import { isUuid, uuidv7 } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import { describeError } from "../observe/log.ts";
import type { Services } from "../services.ts";
import { check } from "./input.ts";
import type { GuardedRequest, GuardedRoute, Reply } from "./route.ts";

/** What is answered, and the record without which it may not be told. */
export interface Told {
	readonly result: Result<Reply, Failure>;
	/** null where there is nothing to record. */
	readonly record: AppendCall | null;
	/** What it was done with or to, where that is on record. */
	readonly target?: Target;
	/** It was the answer to an earlier request with the same Idempotency-Key. */
	readonly isReplay?: boolean;
}

/** A request that may have to be recorded. */
export interface Witnessed {
	readonly services: Services;
	readonly route: GuardedRoute;
	readonly raw: Request;
	readonly caller: Pick<Caller, "tenant" | "tokenId">;
	readonly requestId: string;
	/** The parameters of the path as they came. */
	readonly params: Readonly<Record<string, string>>;
	/** In hundredths of a token. */
	readonly cost: number;
}

/** Refusals that say something of the caller, or of what was wanted of a key that is out of use. */
const recordedRefusals: readonly ErrorCode[] = [
	"role_forbidden",
	"key_out_of_scope",
	"scoped_token_forbidden",
	"key_disabled",
	"key_pending_deletion",
	"version_below_minimum",
	// Of a token that was good once; who has none that was ever good says nothing of anybody.
	"invalid_token",
];

/**
 * Runs the handler. What it changes notes its own record where the change is made, and brings it to
 * the log if it can; anything else that is to be recorded waits for that before it is told.
 */
export async function witness(
	witnessed: Witnessed,
	own: GuardedRequest<unknown, unknown, unknown>,
): Promise<Told> {
	const { route } = witnessed;
	if (route.again) return witnessChange(witnessed, own);
	return tell(witnessed, await route.handle(own));
}

async function witnessChange(
	witnessed: Witnessed,
	own: GuardedRequest<unknown, unknown, unknown>,
): Promise<Told> {
	const { services, route, caller } = witnessed;
	const note = noteOf(witnessed);
	const outbox = withOutbox(own.services.db, note);
	const result = await route.handle({ ...own, services: { ...own.services, db: outbox.db } });
	const changed = outbox.changed();
	if (changed) await bring(services, appendOfChange(caller.tenant, note, changed), witnessed);
	return tell(witnessed, result);
}

/** Best effort: the note is durable, and a job comes for it (jobs/deliver-audit.ts). */
async function bring(
	{ audit, log }: Services,
	record: AppendCall,
	{ requestId, route }: Witnessed,
): Promise<void> {
	try {
		await audit.appendOnce(record);
	} catch (error) {
		const entry = { requestId, route: route.id, error: describeError(error) };
		log({ event: "dependency_unavailable", ...entry });
	}
}

async function tell(witnessed: Witnessed, result: Result<Reply, Failure>): Promise<Told> {
	if (!result.ok) return refusal(witnessed, result.error);
	const deed = result.value instanceof Response ? undefined : result.value.deed;
	if (!deed || deed.items.length === 0) return { result, record: null };
	const { place, ...head } = circumstances(witnessed);
	const items = await itemsOf(deed, witnessed.cost);
	return {
		result,
		record: { place, records: encodeAppend({ ...head, target: deed.target }, items) },
		target: deed.target,
	};
}

/** A refusal with its record, if it is of a kind that has one. */
export function refusal(witnessed: Witnessed, error: Failure): Told {
	const result = { ok: false, error } as const;
	if (!recordedRefusals.includes(error.code)) return { result, record: null };
	const { place, ...head } = circumstances(witnessed);
	const { cost } = witnessed;
	const item = { number: 0, inputKind: null, input: null, signature: null, cost };
	const known = error.target && { ...error.target, version: 0 };
	const records = encodeAppend({ ...head, target: known ?? named(witnessed) }, [
		{ ...item, outcome: error.code },
	]);
	return { result, record: { place, records } };
}

/** The answer, once its record is durable. `isKeyed`: the same record may come again. */
export async function released(
	{ audit, within, background }: Pick<Services, "audit" | "within" | "background">,
	{ result, record }: Told,
	isKeyed: boolean,
): Promise<Result<Reply, Failure>> {
	if (!record) return result;
	const append = isKeyed ? audit.appendOnce(record) : audit.append(record, background, within);
	if ((await append) === "kept") return result;
	const detail =
		"Postgres has not taken the audit log's records for long, and nothing is done without one.";
	return fail("audit_backlog_full", detail);
}

function circumstances({ services, route, raw, caller, requestId }: Witnessed) {
	const { tenant, tokenId } = caller;
	const head: Omit<RecordHead, "target"> = {
		id: firstRecordId(uuidv7(services.clock, services.random)),
		requestId,
		tenant,
		tokenId,
		action: route.id,
		address: (raw.headers.get("cf-connecting-ip") ?? "").slice(0, limits.auditAddressChars),
	};
	const at = (raw.cf ?? {}) as Whereabouts; // typed as what a request may be sent with, too
	return { ...head, place: placeOf(tenant, at, services.auditShard(tenant)) };
}

function noteOf(witnessed: Witnessed): OutboxNote {
	const { tenant: _, tokenId, ...known } = circumstances(witnessed);
	const { cost, caller } = witnessed;
	return { ...known, tokenId: tokenId ?? caller.tokenId, at: timeOf(known), cost };
}

/** What the path names, whether or not it exists. */
function named({ route, params }: Witnessed) {
	const sound = route.params ? check(route.params, params) : null;
	const { key, token } = (sound?.ok ? sound.value : {}) as { key?: string; token?: string };
	const ref = key ?? token ?? "";
	const none = { version: 0, algorithm: "" };
	return isUuid(ref) ? { id: ref, name: "", ...none } : { id: null, name: ref, ...none };
}
