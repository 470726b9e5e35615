import { ping } from "../db/client.ts";
import { ok } from "../lib/result.ts";
import { within } from "../lib/within.ts";
import * as limits from "../limits.ts";
import * as answers from "../schemas/answers/service.ts";
import type { Services } from "../services.ts";
import { type Docs, publicRoute } from "./route.ts";

export const healthz = publicRoute(
	{
		method: "get",
		path: "/healthz",
		id: "healthz",
		addressCost: 0, // it does nothing that could be worn out
		tag: "Service",
	},
	async () => ok({ json: { status: "ok" } }),
);

export const readyz = publicRoute(
	{
		method: "get",
		path: "/readyz",
		id: "readyz",
		addressCost: 10,
		tag: "Service",
	},
	async ({ services }) => {
		const [postgres, redis] = await Promise.all([
			timed(services, () => ping(services.db)),
			timed(services, () => services.redis.ping()),
		]);
		const ready = postgres.ok && redis.ok;
		return ok({ status: ready ? 200 : 503, json: { ready, postgres, redis } });
	},
);

/** Asks a dependency; a refusal, an error and silence until the time-out are all a no. */
async function timed({ clock }: Services, ask: () => Promise<unknown>) {
	const start = clock();
	const answer = ask().then(
		() => true,
		() => false,
	);
	const isWell = await within(answer, limits.readinessTimeoutMs, () => false);
	return { ok: isWell, milliseconds: clock() - start };
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function serviceDocs() {
	return {
		healthz: {
			summary: "Whether the worker answers",
			answer: { description: "It does", schema: answers.health },
			failures: [],
			examples: [{}],
		},
		readyz: {
			summary: "Whether Postgres and Redis answer",
			answer: { description: "Both do", schema: answers.readiness },
			otherAnswers: [
				{ status: 503, description: "One of them does not", schema: answers.readiness },
			],
			failures: [],
			examples: [{}],
		},
	} as const satisfies Docs;
}
