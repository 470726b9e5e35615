import * as z from "zod/mini";
import { ok } from "../lib/result.ts";
import * as limits from "../limits.ts";
import type { PublicDocument, Services } from "../services.ts";
import { answerPublic, documentOf, notModified } from "./published.ts";
import { type Docs, publicRoute } from "./route.ts";

let document: PublicDocument | undefined;

/** The file that `npm run openapi` makes of the route table (openapi/), as it is. */
export const getOpenApi = publicRoute(
	{
		method: "get",
		path: "/openapi.json",
		id: "getOpenApi",
		addressCost: 1,
		tag: "Service",
	},
	async ({ raw, services }) => {
		document ??= await readDocument(services);
		return answerPublic(raw, document, "application/json", limits.documentsMaxAgeSeconds);
	},
);

async function readDocument({ assets }: Services): Promise<PublicDocument> {
	const file = await assets.fetch("https://assets.local/openapi.json");
	if (!file.ok) throw new Error(`the OpenAPI document is not there: status ${file.status}`);
	return documentOf(await file.text());
}

export const getDocs = publicRoute(
	{
		method: "get",
		path: "/docs",
		id: "getDocs",
		addressCost: 1,
		tag: "Service",
	},
	async ({ services }) => {
		const page = await services.assets.fetch("https://assets.local/docs/");
		const headers = {
			"Content-Type": "text/html; charset=utf-8",
			"Cache-Control": `public, max-age=${limits.documentsMaxAgeSeconds}`,
			"Content-Security-Policy": pagePolicy,
		};
		return ok(new Response(page.body, { status: page.status, headers }));
	},
);

/** The page runs what it brings, talks to its own origin and to no other. */
const pagePolicy =
	"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function documentationDocs() {
	return {
		getOpenApi: {
			summary: "This document (OpenAPI 3.1)",
			answer: { description: "The document", schema: z.looseObject({}) },
			otherAnswers: [notModified],
			failures: [],
			examples: [{}],
		},
		getDocs: {
			summary: "The documentation as an interactive page",
			answer: { description: "HTML", contentType: "text/html; charset=utf-8" },
			failures: [],
			examples: [{}],
		},
	} as const satisfies Docs;
}
