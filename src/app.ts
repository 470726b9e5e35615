import type { Context } from "hono";
import { HonoBase } from "hono/hono-base";
import { TrieRouter } from "hono/router/trie-router";
import type { Env } from "./env.ts";
import { systemClock } from "./lib/clock.ts";
import { systemRandom } from "./lib/random.ts";
import { uuidv7 } from "./lib/uuid.ts";
import { createLog, describeError } from "./observe/log.ts";
import { limitAddress, type Meter } from "./routes/admission.ts";
import {
	exportAudit,
	getAuditCheckpoint,
	getAuditKeys,
	getAuditRecord,
	getAuditRecordProof,
	listAudit,
} from "./routes/audit.ts";
import { listBenchmarkAlerts, listBenchmarks, runBenchmark } from "./routes/benchmarks.ts";
import { getCache, purgeCache, warmCache } from "./routes/cache.ts";
import { getConfig, listConfigVersions, putConfig, rollbackConfig } from "./routes/config.ts";
import { getDocs, getOpenApi } from "./routes/documentation.ts";
import { getPublicKey, listKeyVersions } from "./routes/key-versions.ts";
import {
	createKey,
	deleteKey,
	disableKey,
	enableKey,
	getKey,
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
import { listUsage, listUsedKeys } from "./routes/usage.ts";
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
	listKeyVersions,
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
	listUsage,
	listUsedKeys,
	// What an isolate keeps in memory
	getCache,
	purgeCache,
	warmCache,
	// How fast it is
	listBenchmarks,
	runBenchmark,
	listBenchmarkAlerts,
	// For anyone
	getJwks,
	getAuditKeys,
	healthz,
	readyz,
	getOpenApi,
	getDocs,
];

/**
 * The whole service. There is no chain of middleware: `serve` takes every request of a route through
 * the same steps (who calls, may they, is the input well formed, the handler), in the order of its text.
 */
export function createApp(): HonoBase<{ Bindings: Env }> {
	// Hono itself brings two routers more, and falls back to a slower one without a word when paths overlap.
	const app = new HonoBase<{ Bindings: Env }>({ router: new TrieRouter() });
	for (const route of routes) {
		const path = route.path.replace(/\{(\w+)\}/g, ":$1");
		app.on(route.method.toUpperCase(), path, (context) =>
			serve(route, servicesOf(context.env), context.req.raw, context.req.param(), (work) =>
				context.executionCtx.waitUntil(work),
			),
		);
	}
	app.get("/", (context) =>
		answerAddress(context, 0, async () => {
			return new Response(null, { status: 302, headers: { Location: "/docs" } });
		}),
	);
	app.get("/docs/*", (context) =>
		answerAddress(context, 1, async (requestId) => {
			const asset = await context.env.ASSETS.fetch(context.req.raw);
			return asset.status === 404 ? refusePath(context.req.path, requestId) : asset;
		}),
	);
	app.notFound((context) =>
		answerAddress(context, 1, async (requestId) => refusePath(context.req.path, requestId)),
	);
	const log = createLog("error");
	app.onError((error) => {
		const requestId = newId();
		log({ event: "request_failed", requestId, route: "", error: describeError(error) });
		const detail = "The service could not take the request.";
		return problemResponse({ code: "internal", detail }, requestId);
	});
	return app;
}

/** What is no route's to answer, as often as the caller's address may ask. */
async function answerAddress(
	{ env, req }: Context<{ Bindings: Env }>,
	cost: number,
	answer: (requestId: string) => Promise<Response>,
): Promise<Response> {
	const requestId = newId();
	const meter: Meter = { limit: null };
	const refusal = limitAddress(servicesOf(env), req.raw, cost, meter);
	if (refusal) return problemResponse(refusal.error, requestId, meter.limit);
	return withBaseHeaders(await answer(requestId), requestId, meter.limit);
}

/** 405 with the methods that the path does take (RFC 9110 section 15.5.6), else 404. */
function refusePath(path: string, requestId: string): Response {
	const methods = routes
		.filter((route) => patternOf(route.path).test(path))
		.flatMap(({ method }) => (method === "get" ? ["GET", "HEAD"] : [method.toUpperCase()]));
	if (methods.length === 0) {
		const detail = "There is no route at this path; /docs lists them.";
		return problemResponse({ code: "route_not_found", detail }, requestId);
	}
	const allowed = methods.join(", ");
	const detail = `This path takes ${allowed}.`;
	const response = problemResponse({ code: "method_not_allowed", detail }, requestId);
	response.headers.set("Allow", allowed);
	return response;
}

/** Of a path with `{parameters}`; all else stands for itself. */
function patternOf(path: string): RegExp {
	return new RegExp(`^${path.replaceAll(".", "\\.").replace(/\{\w+\}/g, "[^/]+")}$`);
}

function newId(): string {
	return uuidv7(systemClock, systemRandom);
}
