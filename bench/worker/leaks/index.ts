import type { Env } from "../../../src/env.ts";
import service from "../../../src/index.ts";
import { servicesOf } from "../../../src/services.ts";
import { laneNames } from "./lane.ts";
import { type Kind, kinds, type WatchedKinds } from "./messages.ts";
import { plant, watch, watched } from "./watch.ts";

export * from "../../../src/index.ts";

/**
 * The service as it is, with its objects watched: `GET /watched` tells which are alive, and
 * `POST /plant?kind=body` makes a leak of a kind.
 */
export default {
	async fetch(request, env, context) {
		const { pathname, searchParams } = new URL(request.url);
		if (pathname === "/watched") return Response.json(report(env));
		if (pathname === "/plant") {
			const kind = searchParams.get("kind");
			plant(kinds.find((one) => one === kind) ?? null);
			return Response.json({ kind });
		}
		watch("context", context);
		return watch("response", await service.fetch(watch("request", request), env, context));
	},
	scheduled: service.scheduled,
} satisfies ExportedHandler<Env>;

function report(env: Env): WatchedKinds {
	const { observed } = servicesOf(env).caches;
	const held: Partial<Record<Kind, number>> = {
		cached: observed.reduce((sum, { counts }) => sum + counts().entries, 0),
		lane: laneNames.size,
	};
	const all = kinds.map((kind) => [kind, watched(kind, held[kind] ?? 0)]);
	return Object.fromEntries(all) as WatchedKinds;
}
