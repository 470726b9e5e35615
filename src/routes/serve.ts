import * as z from "zod/mini";
import { ChainBroken } from "../audit/chain.ts";
import { AuditUnavailable } from "../audit/log.ts";
import { AuditUnreadable } from "../audit/source.ts";
import { allows } from "../auth/roles.ts";
import { type Caller, readCredentials } from "../auth/tokens.ts";
import { BenchmarkUnavailable } from "../benchmark/object.ts";
import { DatabaseUnavailable } from "../db/client.ts";
import { tallied } from "../db/statistics.ts";
import { type Failure, fail, failField } from "../errors.ts";
import { EntriesUnavailable } from "../idempotency/once.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { uuidv7 } from "../lib/uuid.ts";
import { type Background, withinOneTimer } from "../lib/within.ts";
import * as limits from "../limits.ts";
import { describeError } from "../observe/log.ts";
import { CoordinatorUnavailable } from "../ratelimit/coordinator.ts";
import type { Price } from "../ratelimit/lease.ts";
import { operations } from "../ratelimit/policy.ts";
import type { Services } from "../services.ts";
import {
	type Admitted,
	admit,
	holds,
	lapsed,
	limitAddress,
	type Meter,
	operationFor,
	readmit,
	spend,
} from "./admission.ts";
import { refusal, released, type Told, type Witnessed, witness } from "./audited.ts";
import { handleOnce, isKeyed } from "./idempotent.ts";
import { check, readJson } from "./input.ts";
import { jsonResponse, problemResponse, withBaseHeaders } from "./problem.ts";
import {
	changes,
	type GuardedRequest,
	type GuardedRoute,
	type PublicRoute,
	type Reply,
	type Route,
	readsBody,
	statusOf,
} from "./route.ts";

/**
 * Answers one request of a route: who calls, whether the role and the limits allow it, whether the
 * input is well formed, then the handler; and whether all that still holds when its answer is there.
 */
export async function serve(
	route: Route,
	shared: Services,
	raw: Request,
	params: Readonly<Record<string, string>>,
	background: Background,
): Promise<Response> {
	const { db, repeated } = tallied(shared.db);
	const within = withinOneTimer(shared.clock, limits.requestTimerMs);
	const services = { ...shared, db, within, background };
	const requestId = uuidv7(services.clock, services.random);
	const meter: Meter = { limit: null };
	services.shedder.started();
	services.origin.probe(background);
	try {
		const reply =
			route.permission === null
				? await answerAnyone(route, services, raw, params, meter)
				: await answerCaller(route, services, raw, params, { requestId, meter });
		return reply.ok
			? toResponse(route, reply.value, requestId, meter)
			: problemResponse(reply.error, requestId, meter.limit);
	} catch (error) {
		return problemResponse(explain(route, services, error, requestId), requestId, meter.limit);
	} finally {
		services.bodies.giveBack(meter.bodyBytes ?? 0);
		services.shedder.ended();
		for (const [statement, calls] of repeated()) {
			services.log({ event: "repeated_query", requestId, route: route.id, statement, calls });
		}
	}
}

async function answerAnyone(
	route: PublicRoute,
	services: Services,
	raw: Request,
	params: Readonly<Record<string, string>>,
	meter: Meter,
): Promise<Result<Reply, Failure>> {
	const refusal = limitAddress(services, raw, route.addressCost, meter);
	if (refusal) return refusal;
	const input = await readInput(route, raw, params, services, meter);
	return input.ok ? route.handle({ services, raw, ...input.value }) : input;
}

interface Attending {
	readonly requestId: string;
	readonly meter: Meter;
}

async function answerCaller(
	route: GuardedRoute,
	services: Services,
	raw: Request,
	params: Readonly<Record<string, string>>,
	{ requestId, meter }: Attending,
): Promise<Result<Reply, Failure>> {
	const keyWanted = () => keyOf(route, params);
	let admitted = await admit(services, raw, meter, keyWanted);
	const witnessed = { services, route, raw, requestId, params };
	if (!admitted.ok) return refusedToken(witnessed, admitted.error);
	const usual = operations[operationFor(route)].cost;
	const pay = async (caller: Caller, price: Price) => {
		const spent = await spend(services, caller, route, price, meter);
		if (spent.ok) return null;
		return released(
			services,
			refusal({ ...witnessed, caller, cost: operations.read.cost }, spent.error),
			false,
		);
	};
	// Where the body decides on the cost, all of it is paid when that was read: who is refused pays nothing.
	const isLook = route.cost !== undefined;
	if (!(isLook && isSmall(raw) && allows(admitted.value.caller.role, route.permission))) {
		const early = await pay(admitted.value.caller, { cost: usual, isLook });
		if (early) return early;
	}
	const input = await readInput(route, raw, params, services, meter);
	const cost = input.ok ? Math.max(usual, route.cost?.(input.value.body) ?? usual) : usual;
	const late = isLook ? await pay(admitted.value.caller, { cost }) : null;
	if (late) return late;
	if (!input.ok) return input;
	// A body can be held back for longer than a revocation takes: whoever did that is asked again.
	const renew = async () => {
		const renewed = await readmit(services, raw, keyWanted);
		if (!renewed.ok || allows(renewed.value.caller.role, route.permission)) return renewed;
		return lapsed();
	};
	if (!(await holds(services, admitted.value))) {
		admitted = await renew();
		if (!admitted.ok) return refusedToken(witnessed, admitted.error);
	}
	const { value: current } = admitted;
	const { caller } = current;
	const request = { services, raw, caller, ...input.value };
	const standing = { current, renew };
	return answerOnce(standing, { ...witnessed, caller, cost }, request, input.value.json);
}

/** Read whether or not it can be paid for: a refusal then tells the time for all of it, and not for one item. */
function isSmall({ headers }: Request): boolean {
	const declared = headers.get("content-length");
	return declared !== null && Number(declared) <= limits.bodyBytesUnpaid;
}

/** Whoever comes with a token that was revoked or has expired may have stolen it: that is on record. */
async function refusedToken(
	witnessed: Omit<Witnessed, "caller" | "cost">,
	error: Failure,
): Promise<Result<Reply, Failure>> {
	const { tokenId } = error;
	const shown = readCredentials(witnessed.raw.headers.get("authorization"));
	if (tokenId === undefined || !shown.ok) return err(error);
	const caller = { tenant: shown.value.tenant, tokenId };
	const told = refusal({ ...witnessed, caller, cost: operations.read.cost }, error);
	return released(witnessed.services, told, false);
}

type AnyRequest = GuardedRequest<unknown, unknown, unknown>;

/** On what an answer stands. */
interface Standing {
	current: Admitted;
	/** The same caller by what holds now; the failure if it may not do this any more. */
	readonly renew: () => Promise<Result<Admitted, Failure>>;
}

/** Runs the handler, and releases its answer when that is on record and still stands. */
async function answerOnce(
	standing: Standing,
	witnessed: Witnessed,
	request: AnyRequest,
	json: unknown,
): Promise<Result<Reply, Failure>> {
	const { services, route } = witnessed;
	// What was changed was changed; but a signature or a secret is not told on what held once.
	const stands = async () => changes(route) || (await holds(services, standing.current));
	let answer = null as Told | null;
	const told = await handleOnce(route, request, json, async (own) => {
		answer = await witness(witnessed, own);
		for (let renewals = 0; !(await stands()); renewals++) {
			if (renewals === limits.answerRenewals) return { result: lapsed(), record: null };
			const anew = await answerAnew(standing, witnessed, own, answer);
			if (!anew.ok) return { result: anew, record: null };
			answer = anew.value;
		}
		return answer;
	});
	const result = await released(services, told, isKeyed(route, request.raw));
	for (let renewals = 0; !told.isReplay && !(await stands()); renewals++) {
		if (!answer || renewals === limits.answerRenewals) return lapsed();
		// It is on record, and would be a second time: what is told is the same answer, if it would be given now.
		const anew = await answerAnew(standing, witnessed, request, answer);
		if (!anew.ok || !isSame(answer, anew.value)) return lapsed();
	}
	return result;
}

/** The answer by what holds now. What is told of the past is still so, to whoever may still ask. */
async function answerAnew(
	standing: Standing,
	witnessed: Witnessed,
	request: AnyRequest,
	answer: Told,
): Promise<Result<Told, Failure>> {
	const renewed = await standing.renew();
	if (!renewed.ok) return renewed;
	standing.current = renewed.value;
	if (witnessed.route.isOfPast) return ok(answer);
	const { caller } = renewed.value;
	return ok(await witness({ ...witnessed, caller }, { ...request, caller }));
}

/** Whether both were done, with the same version of the same key. */
function isSame(answer: Told, anew: Told): boolean {
	if (answer === anew) return true;
	const { result, target } = anew;
	if (!answer.result.ok || !result.ok || !answer.target || !target) return false;
	return answer.target.id === target.id && answer.target.version === target.version;
}

/** The key that a signature or a verification is asked of, if the path names one well. */
function keyOf(route: GuardedRoute, params: Readonly<Record<string, string>>): string | null {
	if (!route.params || (route.permission !== "sign" && route.permission !== "verify")) return null;
	const sound = check(route.params, params);
	const { key } = (sound.ok ? sound.value : {}) as { readonly key?: string };
	return key ?? null;
}

interface Input {
	readonly params: unknown;
	readonly query: unknown;
	readonly body: unknown;
	/** The body as it came. */
	readonly json: unknown;
}

async function readInput(
	route: Route,
	raw: Request,
	pathParams: Readonly<Record<string, string>>,
	services: Services,
	meter: Meter,
): Promise<Result<Input, Failure>> {
	const condition = changes(route) ? conditionOf(route, raw) : null;
	if (condition) return fail("precondition_failed", condition);
	const params = route.params ? check(route.params, pathParams) : ok(undefined);
	if (!params.ok) return params;
	const search = raw.url.indexOf("?");
	const query =
		route.query || search !== -1
			? checkQuery(route, search === -1 ? "" : raw.url.slice(search))
			: ok(undefined);
	if (!query.ok) return query;
	if (!readsBody(route))
		return ok({ params: params.value, query: query.value, body: undefined, json: undefined });
	const maxBytes = route.maxBodyBytes ?? limits.bodyBytesDefault;
	const json = await readJson(
		raw,
		maxBytes,
		(bytes) => holdBody(services, meter, bytes),
		services.within,
	);
	if (!json.ok) return json;
	const body = check(route.body ?? noBody, json.value);
	if (!body.ok) return body;
	const checked = { params: params.value, query: query.value, body: body.value };
	return ok({ ...checked, json: json.value });
}

/** Takes what a body of so many bytes holds until its request has ended; false when there is no room for it. */
function holdBody({ bodies }: Services, meter: Meter, bytes: number): boolean {
	const held = limits.bodyBytesHeldPerByte * bytes;
	if (!bodies.take(held)) return false;
	meter.bodyBytes = held;
	return true;
}

/** Why a change is not made under the condition that it came with: none is ever ignored (RFC 9110 section 13.2.1). */
function conditionOf(route: Route, { headers }: Request): string | null {
	if (headers.has("if-none-match")) {
		return "A change is not made to depend on If-None-Match, which is for reading: leave it out.";
	}
	const isAnyVersion = (headers.get("if-match") ?? "*") === "*";
	if (route.headers || isAnyVersion) return null;
	return "What this changes has no versions that If-Match could name: leave it out.";
}

/** A parameter that stands there twice becomes a list, which the schema takes or refuses. */
function checkQuery(route: Route, text: string): Result<unknown, Failure> {
	try {
		decodeURIComponent(text); // the platform's parser puts U+FFFD in the place of what is none
	} catch {
		return fail("invalid_request", "The query is not the percent-encoding of UTF-8.");
	}
	const values = new Map<string, string[]>();
	for (const [name, value] of new URLSearchParams(text)) {
		const known = values.get(name);
		if (known) known.push(value);
		else values.set(name, [value]);
	}
	const query = Object.fromEntries(
		[...values].map(([name, all]) => [name, all.length === 1 ? all[0] : all]),
	);
	const checked = check(route.query ?? noQuery, query);
	const [first] = checked.ok ? [] : (checked.error.errors ?? []);
	const times = values.get(first?.pointer.slice(1) ?? "")?.length ?? 1;
	if (times === 1 || !first?.detail.includes("not an array")) return checked;
	return failField(first.code, first.pointer, `must stand there once, not ${times} times.`);
}

/** A route that takes no query, or no body, says so, rather than ignore what a caller meant. */
const noQuery = z.strictObject({});
const noBody = z.optional(noQuery);

function toResponse(route: Route, reply: Reply, requestId: string, { limit }: Meter): Response {
	if (reply instanceof Response) return withBaseHeaders(reply, requestId, limit);
	const status = reply.status ?? statusOf(route);
	return reply.json === undefined
		? withBaseHeaders(new Response(null, { status }), requestId, limit)
		: jsonResponse(reply.json, status, requestId, limit);
}

/** What a part of the service that is away means for the caller. */
const outages = [
	{
		of: DatabaseUnavailable,
		code: "unavailable",
		detail:
			"The database does not answer. If this was a change, read whether it was made before you repeat it.",
	},
	{
		of: CoordinatorUnavailable,
		code: "unavailable",
		detail:
			"The tenant's coordinator does not answer. If this was a change, read whether it was made before you repeat it.",
	},
	{
		of: EntriesUnavailable,
		code: "unavailable",
		detail:
			"What keeps the answers by Idempotency-Key does not answer. Repeat the request with the same key.",
	},
	{
		of: AuditUnavailable,
		code: "audit_unavailable",
		detail:
			"The audit log does not answer, and nothing is told without its record. Repeat the request, with the same Idempotency-Key if it has one.",
	},
	{
		of: BenchmarkUnavailable,
		code: "unavailable",
		detail: "What measures the service does not answer. Nothing was stored; ask again.",
	},
	{
		of: AuditUnreadable,
		code: "unavailable",
		detail: "A part of the audit log does not answer, and no page leaves one out. Ask again.",
	},
] as const;

/** What went wrong goes to the log under the request's id; the caller learns the id and nothing else. */
function explain(route: Route, services: Services, error: unknown, requestId: string): Failure {
	const entry = { requestId, route: route.id, error: describeError(error) };
	if (error instanceof DatabaseUnavailable) services.shedder.report("failed");
	if (error instanceof ChainBroken) {
		services.log({ event: "audit_chain_broken", requestId, error: error.message });
		const detail =
			"The record, or one after it, was changed since it was written. Nothing is signed.";
		return { code: "audit_chain_broken", detail };
	}
	const outage = outages.find(({ of }) => error instanceof of);
	if (outage) {
		services.log({ event: "dependency_unavailable", ...entry });
		return { code: outage.code, detail: outage.detail };
	}
	services.log({ event: "request_failed", ...entry });
	return {
		code: "internal",
		detail: "Something failed on our side; the request id finds it in our log.",
	};
}
