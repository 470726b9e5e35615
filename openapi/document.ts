import * as z from "zod/mini";
import {
	createDocument,
	type ZodOpenApiOperationObject,
	type ZodOpenApiPathsObject,
} from "zod-openapi";
import { permissions } from "../src/auth/roles.ts";
import { type ErrorCode, errorTable } from "../src/errors.ts";
import { type Answer, changes, type Route, readsBody } from "../src/routes/route.ts";
import { problem } from "../src/schemas/answers/service.ts";
import { signItem, verifyItem } from "../src/schemas/signing.ts";
import { answerHeaders, headers, requestHeaders, takesKey } from "./headers.ts";
import type { DocumentedRoute } from "./routes.ts";

/** Codes that any route can answer (no parameter is passed over), and those of guarded routes, or with a body. */
const everyRoute: readonly ErrorCode[] = ["unknown_field", "internal", "unavailable"];
const guardedRoutes: readonly ErrorCode[] = [
	"missing_token",
	"invalid_token",
	"role_forbidden",
	"rate_limited",
	"cost_above_limit",
	"overloaded",
	"lease_lapsed",
	"audit_unavailable",
	"audit_backlog_full",
];
const withBody: readonly ErrorCode[] = [
	"invalid_json",
	"too_deep",
	"body_too_large",
	"unsupported_media_type",
	"body_timeout",
];

const withKey: readonly ErrorCode[] = [
	"invalid_idempotency_key",
	"idempotency_key_reused",
	"idempotency_running",
	"idempotency_full",
];

/** The groups of the document, in their order. */
const tags: Readonly<Record<Route["tag"], string>> = {
	Signing: "The main job: sign and verify, one by one or in batches.",
	Keys: "Make and import keys, and lead them through their life.",
	Tokens: "Who may call: bearer tokens with a role, for some keys or for all.",
	Configuration: "What a tenant sets for itself: limits first of all. Every version is kept.",
	Audit: "What was done, by whom and with what: every record, and proof that none was changed.",
	Usage: "What was done, counted by day and key.",
	Caches: "What an isolate keeps in memory, and what more of it would bring.",
	Benchmarks: "How fast the deployed service is, measured by itself, and what became slower.",
	Public: "What anyone may read.",
	Service: "Health, and this documentation.",
};

/** The OpenAPI document that routes make. */
export function openApi(routes: readonly DocumentedRoute[]) {
	const paths: ZodOpenApiPathsObject = {};
	for (const route of routes) {
		paths[route.path] = { ...paths[route.path], [route.method]: operation(route) };
	}
	return createDocument({
		openapi: "3.1.0",
		info: {
			title: "edgesign",
			version: "1",
			description: "Keeps private keys, and signs and verifies at the edge.",
			license: { name: "Apache-2.0", identifier: "Apache-2.0" },
		},
		servers: [{ url: "/" }],
		tags: Object.entries(tags).map(([name, description]) => ({ name, description })),
		paths,
		components: {
			schemas: { SignItem: signItem, VerifyItem: verifyItem },
			headers,
			securitySchemes: {
				bearer: { type: "http", scheme: "bearer", description: "es_<tenant>_<secret>" },
			},
		},
		"x-errors": errorTable,
	});
}

function operation(route: DocumentedRoute): ZodOpenApiOperationObject {
	const { examples } = route;
	const [first] = examples;
	const header = requestHeaders(route);
	const bodies = examples.flatMap(({ body }, index) =>
		body === undefined ? [] : [[`example${index + 1}`, { value: body }] as const],
	);
	return {
		operationId: route.id,
		tags: [route.tag],
		summary: route.summary,
		...(route.description && { description: route.description }),
		security: route.permission === null ? [] : [{ bearer: [] }],
		...(route.permission && { "x-roles": permissions[route.permission] }),
		...((route.params || route.query || header) && {
			requestParams: {
				...(route.params && { path: route.params as z.ZodMiniObject }),
				...(route.query && { query: route.query as z.ZodMiniObject }),
				...(header && { header }),
			},
		}),
		...(route.body && {
			requestBody: {
				required: true,
				content: {
					"application/json": { schema: route.body, examples: Object.fromEntries(bodies) },
				},
			},
		}),
		...(first && { "x-example": { params: first.params, query: first.query } }),
		responses: responses(route),
	};
}

/** A status may have an answer of its own and a problem document. */
function responses(route: DocumentedRoute) {
	const found: Record<string, ReturnType<typeof response>> = { ...problems(route) };
	const usual = { ...route.answer, status: route.status };
	for (const answer of [usual, ...(route.otherAnswers ?? [])]) {
		const { description, content } = response(answer);
		const beside = found[answer.status];
		found[answer.status] = beside
			? {
					description: `${description}\n\n${beside.description}`,
					content: { ...content, ...beside.content },
				}
			: { description, ...(content && { content }) };
	}
	return Object.fromEntries(
		Object.entries(found).map(([status, { description, content }]) => {
			const headers = answerHeaders(route, Number(status));
			return [status as "200", { description, headers, ...(content && { content }) }];
		}),
	);
}

/** What is no JSON is described by its type alone. */
function response({ description, schema, contentType, otherContentTypes = [] }: Answer): {
	readonly description: string;
	readonly content?: Readonly<Record<string, { readonly schema?: z.ZodMiniType }>>;
} {
	if (!schema && !contentType) return { description };
	const content = {
		[contentType ?? "application/json"]: { schema: schema ?? z.string() },
		...Object.fromEntries(otherContentTypes.map((type) => [type, {}])),
	};
	return { description, content };
}

/** One response a status, which names its codes. */
function problems(route: DocumentedRoute) {
	const codes = [
		...route.failures,
		...(route.params || route.query || readsBody(route) ? ["invalid_request" as const] : []),
		...(changes(route) ? ["precondition_failed" as const] : []),
		...(readsBody(route) ? withBody : []),
		...(route.permission ? guardedRoutes : []),
		...(route.permission === null && route.addressCost > 0 ? ["rate_limited" as const] : []),
		...(takesKey(route) ? withKey : []),
		...everyRoute,
	];
	const byStatus = Map.groupBy(new Set(codes), (code) => errorTable[code].status);
	return Object.fromEntries(
		[...byStatus].map(([status, of]) => [
			String(status) as "400",
			{
				description: of.map((code) => `\`${code}\`: ${errorTable[code].title}.`).join("\n\n"),
				content: { "application/problem+json": { schema: problem } },
			},
		]),
	);
}
