import { Hono } from "hono";
import { TrieRouter } from "hono/router/trie-router";
import type { Env } from "./env.ts";
import type { Failure } from "./errors.ts";
import { systemClock } from "./lib/clock.ts";
import { systemRandom } from "./lib/random.ts";
import { uuidv7 } from "./lib/uuid.ts";
import { createLog, describeError } from "./observe/log.ts";
import {
	exportAudit,
	getAuditCheckpoint,
	getAuditKeys,
	getAuditRecord,
	getAuditRecordProof,
	listAudit,
} from "./routes/audit.ts";
import { getConfig, listConfigVersions, putConfig, rollbackConfig } from "./routes/config.ts";
import { documentation } from "./routes/documentation.ts";
import {
	createKey,
	deleteKey,
	disableKey,
	enableKey,
	getKey,
	getPublicKey,
	importKey,
	listKeys,
	restoreKey,
	rotateKey,
	updateKey,
} from "./routes/keys.ts";
import { problemResponse, withBaseHeaders } from "./routes/problem.ts";
import { getJwks } from "./routes/public.ts";
import type { Route } from "./routes/route.ts";
import { serve } from "./routes/serve.ts";
import { healthz, readyz } from "./routes/service.ts";
import {
	sign,
	signBatch,
	signJwt,
	verify,
	verifyBatch,
	verifyStateless,
} from "./routes/signing.ts";
import { createToken, listTokens, revokeToken } from "./routes/tokens.ts";
import { servicesOf } from "./services.ts";

/** Every route of the service. Each says its own path, permission and schemas, right before its handler. */
export const routes: readonly Route[] = [
	// The main job
	sign,
	verify,
	signBatch,
	verifyBatch,
	signJwt,
	verifyStateless,
	// Keys and their life
	createKey,
	importKey,
	listKeys,
	getKey,
	updateKey,
	rotateKey,
	enableKey,
	disableKey,
	deleteKey,
	restoreKey,
	getPublicKey,
	// Who may do it
	createToken,
	listTokens,
	revokeToken,
	// What the tenant sets for itself
	getConfig,
	putConfig,
	listConfigVersions,
	rollbackConfig,
	// What was done
	listAudit,
	exportAudit,
	getAuditCheckpoint,
	getAuditRecord,
	getAuditRecordProof,
	// For anyone
	getJwks,
	getAuditKeys,
	healthz,
	readyz,
	...documentation(() => routes),
];

/**
 * The whole service. There is no chain of middleware: `serve` takes every request of a route through
 * the same steps (who calls, may they, is the input well formed, the handler), in the order of its text.
 */
export function createApp(): Hono<{ Bindings: Env }> {
	// Named, because Hono's default falls back to a slower router without a word when paths overlap.
	const app = new Hono<{ Bindings: Env }>({ router: new TrieRouter() });
	for (const route of routes) {
		const path = route.path.replace(/\{(\w+)\}/g, ":$1");
		app.on(route.method.toUpperCase(), path, (context) =>
			serve(route, servicesOf(context.env), context.req.raw, context.req.param(), (work) =>
				context.executionCtx.waitUntil(work),
			),
		);
	}
	app.get("/", () => {
		const headers = { Location: "/docs" };
		return withBaseHeaders(new Response(null, { status: 302, headers }), newId());
	});
	app.get("/docs/*", async (context) => {
		const asset = await context.env.ASSETS.fetch(context.req.raw);
		return asset.status === 404 ? refusePath(context.req.path) : withBaseHeaders(asset, newId());
	});
	app.notFound((context) => refusePath(context.req.path));
	const log = createLog("error");
	app.onError((error) => {
		const requestId = newId();
		log({ event: "request_failed", requestId, route: "", error: describeError(error) });
		const detail = "The service could not take the request.";
		return problemResponse({ code: "internal", detail }, requestId);
	});
	return app;
}

/** 405 with the methods that the path does take (RFC 9110 section 15.5.6), else 404. */
function refusePath(path: string): Response {
	const methods = routes
		.filter((route) => new RegExp(`^${route.path.replace(/\{\w+\}/g, "[^/]+")}$`).test(path))
		.flatMap(({ method }) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]));
	if (methods.length === 0) {
		const detail = "There is no route at this path; /docs lists them.";
		return refuse({ code: "route_not_found", detail });
	}
	const allowed = methods.join(", ");
	const response = refuse({ code: "method_not_allowed", detail: `This path takes ${allowed}.` });
	response.headers.set("Allow", allowed);
	return response;
}

function refuse(failure: Failure): Response {
	return problemResponse(failure, newId());
}

function newId(): string {
	return uuidv7(systemClock, systemRandom);
}
