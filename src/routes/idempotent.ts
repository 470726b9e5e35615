import type { Failure } from "../errors.ts";
import type { KeptAnswer, Outcome } from "../idempotency/answer.ts";
import { parseIdempotencyKey } from "../idempotency/header.ts";
import { type AttemptServices, once } from "../idempotency/once.ts";
import { utf8 } from "../lib/bytes.ts";
import { err, ok, type Result } from "../lib/result.ts";
import type { Told } from "./audited.ts";
import { type GuardedRequest, type GuardedRoute, type Reply, statusOf } from "./route.ts";

type AnyRequest = GuardedRequest<unknown, unknown, unknown>;

/**
 * Runs `handle`; with an Idempotency-Key, once however often the request comes. `json` is the body as
 * it came: what must be the same when the key comes again. Whatever `handle` refuses is not kept if
 * it is a fault of ours, so what must hold of an answer belongs into it.
 */
export async function handleOnce(
	route: GuardedRoute,
	request: AnyRequest,
	json: unknown,
	handle: (request: AnyRequest) => Promise<Told>,
): Promise<Told> {
	const header = keyOf(route, request.raw);
	if (header === null) return handle(request);
	const key = parseIdempotencyKey(header);
	if (!key.ok) return untold(key);
	const { services, caller, raw } = request;
	const { tenant, tokenId } = caller;
	const { pathname, search } = new URL(raw.url);
	const target = pathname + search;
	const ifMatch = raw.headers.get("if-match");
	const { again } = route;
	const own = (given: AttemptServices) => ({ ...request, services: { ...services, ...given } });
	const done = await once(
		services,
		{ tenant, tokenId, key: key.value, method: raw.method, target, ifMatch, json },
		{
			run: async (given) => toOutcome(route, await handle(own(given))),
			again: again
				? async (given, resource) => toOutcome(route, untold(await again(own(given), resource)))
				: null,
		},
	);
	if (!done.ok) return untold(done);
	const { outcome, isReplay } = done.value;
	const { record = null } = outcome;
	if (outcome.ok) return { result: ok(toResponse(outcome.value, isReplay)), record, isReplay };
	const { error } = outcome;
	return { result: err(isReplay ? { ...error, isReplay } : error), record, isReplay };
}

/** Whether the same request may come again, with the same record. */
export function isKeyed(route: GuardedRoute, raw: Request): boolean {
	return keyOf(route, raw) !== null;
}

function keyOf(route: GuardedRoute, raw: Request): string | null {
	return route.method === "get" ? null : raw.headers.get("idempotency-key");
}

/** There is nothing to record of it. */
function untold(result: Result<Reply, Failure>): Told {
	return { result, record: null };
}

async function toOutcome(route: GuardedRoute, { result, record }: Told): Promise<Outcome> {
	const answer = await toAnswer(route, result);
	return record ? { ...answer, record } : answer;
}

async function toAnswer(
	route: GuardedRoute,
	reply: Result<Reply, Failure>,
): Promise<Result<KeptAnswer, Failure>> {
	if (!reply.ok) return reply;
	if (reply.value instanceof Response) {
		const { status, headers } = reply.value;
		const body = new Uint8Array(await reply.value.arrayBuffer());
		return ok({ status, headers: Object.fromEntries(headers), body });
	}
	const { status = statusOf(route), json } = reply.value;
	if (json === undefined) return ok({ status, headers: {}, body: new Uint8Array() });
	const headers = { "Content-Type": "application/json" };
	return ok({ status, headers, body: utf8(JSON.stringify(json)) });
}

function toResponse({ status, headers, body }: KeptAnswer, isReplay: boolean): Response {
	// 204 and 304 take no body, not even an empty one.
	const response = new Response(body.length === 0 ? null : body, { status, headers });
	if (isReplay) response.headers.set("Idempotency-Replayed", "true");
	return response;
}
