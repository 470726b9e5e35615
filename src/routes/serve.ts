import * as z from "zod";
import { allows, permissions } from "../auth/roles.ts";
import { authenticate, type Caller } from "../auth/tokens.ts";
import { DatabaseUnavailable } from "../db/client.ts";
import { type Failure, fail } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import { uuidv7 } from "../lib/uuid.ts";
import { limits } from "../limits.ts";
import { describeError } from "../observe/log.ts";
import type { Services } from "../services.ts";
import { check, readJson } from "./input.ts";
import { jsonResponse, problemResponse, withBaseHeaders } from "./problem.ts";
import type { Reply, Route } from "./route.ts";

/**
 * Answers one request of a route: who calls, whether the role may, whether the input is well formed,
 * then the handler. A body is read only for callers who may send one.
 */
export async function serve(
	route: Route,
	services: Services,
	raw: Request,
	params: Readonly<Record<string, string>>,
): Promise<Response> {
	const requestId = uuidv7(services.clock, services.random);
	try {
		const reply = await answer(route, services, raw, params);
		return reply.ok
			? toResponse(route, reply.value, requestId)
			: problemResponse(reply.error, requestId);
	} catch (error) {
		return problemResponse(explain(route, services, error, requestId), requestId);
	}
}

async function answer(
	route: Route,
	services: Services,
	raw: Request,
	params: Readonly<Record<string, string>>,
): Promise<Result<Reply, Failure>> {
	if (route.permission === null) {
		const input = await readInput(route, raw, params);
		return input.ok ? route.handle({ services, raw, ...input.value }) : input;
	}
	const caller = await authenticate(services, raw.headers.get("authorization"));
	if (!caller.ok) return caller;
	const refusal = refuseRole(caller.value, route);
	if (refusal) return refusal;
	const asked = services.clock();
	const input = await readInput(route, raw, params);
	if (!input.ok) return input;
	// A body can be held back for longer than a revocation takes: whoever did that is asked again.
	if (services.clock() - asked > limits.bodyWaitUncheckedMs) {
		const still = await authenticate(services, raw.headers.get("authorization"));
		if (!still.ok) return still;
	}
	return route.handle({ services, raw, caller: caller.value, ...input.value });
}

function refuseRole({ role }: Caller, route: Route & { permission: keyof typeof permissions }) {
	if (allows(role, route.permission)) return null;
	const allowed = permissions[route.permission].join(", ");
	return fail("role_forbidden", `This needs the role ${allowed}; the token has ${role}.`);
}

interface Input {
	readonly params: unknown;
	readonly query: unknown;
	readonly body: unknown;
}

async function readInput(
	route: Route,
	raw: Request,
	pathParams: Readonly<Record<string, string>>,
): Promise<Result<Input, Failure>> {
	const params = route.params ? check(route.params, pathParams) : ok(undefined);
	if (!params.ok) return params;
	const search = raw.url.indexOf("?");
	const query =
		route.query || search !== -1
			? check(route.query ?? noQuery, search === -1 ? {} : queryOf(raw.url.slice(search)))
			: ok(undefined);
	if (!query.ok) return query;
	if (!route.body) return ok({ params: params.value, query: query.value, body: undefined });
	const json = await readJson(raw, route.maxBodyBytes ?? limits.bodyBytesDefault);
	if (!json.ok) return json;
	const body = check(route.body, json.value);
	if (!body.ok) return body;
	return ok({ params: params.value, query: query.value, body: body.value });
}

/** A parameter that stands there twice becomes a list, which the schema takes or refuses. */
function queryOf(text: string): Record<string, unknown> {
	const search = new URLSearchParams(text);
	const names = new Set(search.keys());
	return Object.fromEntries(
		[...names].map((name) => {
			const values = search.getAll(name);
			return [name, values.length === 1 ? values[0] : values];
		}),
	);
}

/** A route that takes no query says so, rather than ignore what a caller meant. */
const noQuery = z.strictObject({});

function toResponse(route: Route, reply: Reply, requestId: string): Response {
	if (reply instanceof Response) return withBaseHeaders(reply, requestId);
	const status = reply.status ?? route.answer.status;
	return reply.json === undefined
		? withBaseHeaders(new Response(null, { status }), requestId)
		: jsonResponse(reply.json, status, requestId);
}

/** What went wrong goes to the log under the request's id; the caller learns the id and nothing else. */
function explain(route: Route, services: Services, error: unknown, requestId: string): Failure {
	const entry = { requestId, route: route.id, error: describeError(error) };
	if (error instanceof DatabaseUnavailable) {
		services.log({ event: "dependency_unavailable", ...entry });
		return {
			code: "unavailable",
			detail:
				"The database does not answer. If this was a change, read whether it was made before you repeat it.",
		};
	}
	services.log({ event: "request_failed", ...entry });
	return {
		code: "internal",
		detail: "Something failed on our side; the request id finds it in our log.",
	};
}
