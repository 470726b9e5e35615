import type * as z from "zod/mini";
import type { CallersAction } from "../audit/actions.ts";
import type { Deed } from "../audit/deed.ts";
import type { Permission } from "../auth/roles.ts";
import type { Caller } from "../auth/tokens.ts";
import type { ErrorCode, Failure } from "../errors.ts";
import type { Result } from "../lib/result.ts";
import type { Operation } from "../ratelimit/policy.ts";
import type { Services } from "../services.ts";

/** What every handler gets; `caller` is null on public routes alone. */
export interface RouteRequest<Params, Query, Body> {
	readonly services: Services;
	readonly params: Params;
	readonly query: Query;
	readonly body: Body;
	readonly raw: Request;
}

/** A value for the answer's JSON, or a finished Response where it is not JSON. */
export type Reply =
	| Response
	| {
			readonly status?: number;
			readonly json: unknown;
			/** What has to be in the audit log before it is answered. */
			readonly deed?: Deed;
	  };

interface Spec<Params, Query, Body> {
	readonly method: "get" | "post" | "put" | "patch" | "delete";
	/** As in OpenAPI: `/v1/keys/{key}`. */
	readonly path: string;
	/** operationId of the OpenAPI document. */
	readonly id: string;
	readonly tag:
		| "Keys"
		| "Signing"
		| "Tokens"
		| "Configuration"
		| "Audit"
		| "Benchmarks"
		| "Usage"
		| "Caches"
		| "Public"
		| "Service";
	readonly params?: z.ZodMiniType<Params>;
	readonly query?: z.ZodMiniType<Query>;
	readonly body?: z.ZodMiniType<Body>;
	/** Headers that its handler reads. */
	readonly headers?: z.ZodMiniObject;
	/** Bytes; limits.bodyBytesDefault where it is left out. */
	readonly maxBodyBytes?: number;
	/** Of the usual answer; 200 where it is left out. */
	readonly status?: number;
}

export interface GuardedSpec<Params, Query, Body> extends Spec<Params, Query, Body> {
	readonly id: CallersAction;
	readonly permission: Permission;
	/** What the limits count it as, where that is not what its permission says (admission.ts). */
	readonly operation?: Operation;
	/** What it tells is of the past, which no change of the tenant's makes another one. */
	readonly isOfPast?: true;
	/** Hundredths of a token, where it is not what one operation costs. */
	readonly cost?: (body: Body) => number;
	/**
	 * The answer when a request with an Idempotency-Key had its effect, on `resource`, and was cut off
	 * before its answer was kept: what is there now. Every route that changes rows needs it.
	 */
	readonly again?: (
		request: GuardedRequest<Params, Query, Body>,
		resource: string,
	) => Promise<Result<Reply, Failure>>;
}

export type GuardedRequest<Params, Query, Body> = RouteRequest<Params, Query, Body> & {
	readonly caller: Caller;
	/** The body as it came, without the defaults of what was left out. */
	readonly json?: unknown;
};

type GuardedHandler<Params, Query, Body> = (
	request: GuardedRequest<Params, Query, Body>,
) => Promise<Result<Reply, Failure>>;

type PublicHandler<Params, Query, Body> = (
	request: RouteRequest<Params, Query, Body>,
) => Promise<Result<Reply, Failure>>;

/** A row of the route table. The schemas inside have checked what the handler gets. */
export type Route = GuardedRoute | PublicRoute;

export type GuardedRoute = GuardedSpec<unknown, unknown, unknown> & {
	readonly handle: GuardedHandler<unknown, unknown, unknown>;
};

export type PublicRoute = PublicSpec<unknown, unknown, unknown> & {
	readonly permission: null;
	readonly handle: PublicHandler<unknown, unknown, unknown>;
};

/** Whether a body is looked at, if only to refuse it. One of a GET has no meaning (RFC 9110 section 9.3.1). */
export function readsBody({ method }: Route): boolean {
	return method !== "get";
}

/** Whether the handler's effect is what the request is for, rather than its answer. */
export function changes(route: Route): boolean {
	return route.permission !== null && route.again !== undefined;
}

export function statusOf({ status = 200 }: Pick<Route, "status">): number {
	return status;
}

/** A route for callers with a permission: none is reachable without one. */
export function route<Params = undefined, Query = undefined, Body = undefined>(
	spec: GuardedSpec<Params, Query, Body>,
	handle: GuardedHandler<Params, Query, Body>,
): Route {
	return { ...spec, handle } as Route;
}

export interface PublicSpec<Params, Query, Body> extends Spec<Params, Query, Body> {
	/** What it takes of the caller's address; 0 for no limit, where nothing is done. */
	readonly addressCost: number;
}

/** A route that anyone may call. */
export function publicRoute<Params = undefined, Query = undefined, Body = undefined>(
	spec: PublicSpec<Params, Query, Body>,
	handle: PublicHandler<Params, Query, Body>,
): Route {
	return { ...spec, permission: null, handle } as Route;
}

/** What the OpenAPI document says of a route, beside what the route says itself. */
export interface RouteDocs {
	readonly summary: string;
	readonly description?: string;
	readonly answer: Answer;
	/** Answers that are no problem documents and not the usual one either. */
	readonly otherAnswers?: readonly (Answer & { readonly status: number })[];
	/** The codes of its own, beside those that every route can answer. */
	readonly failures: readonly ErrorCode[];
	readonly examples: readonly Example[];
}

/** By the ids of routes. */
export type Docs = Readonly<Record<string, RouteDocs>>;

export interface Answer {
	readonly description: string;
	/** Left out where the answer has no body. */
	readonly schema?: z.ZodMiniType;
	readonly contentType?: string;
	/** Whether it has one without being answered with 304 to whoever has it. */
	readonly hasEtag?: true;
	/** Other forms of the same, for those who ask. */
	readonly otherContentTypes?: readonly string[];
}

/** A request that works, against a tenant that has the keys of test/support/fixtures.ts. */
export interface Example {
	readonly params?: Readonly<Record<string, string>>;
	readonly query?: Readonly<Record<string, string>>;
	readonly body?: unknown;
}
