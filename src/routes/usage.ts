import { refuseScoped } from "../auth/tokens.ts";
import { firstId } from "../db/columns.ts";
import { allTargets, selectUsage, type UsageRow, usedKeys } from "../db/usage.ts";
import { ok } from "../lib/result.ts";
import * as limits from "../limits.ts";
import { tokenParts } from "../ratelimit/policy.ts";
import * as answers from "../schemas/answers/usage.ts";
import * as schema from "../schemas/usage.ts";
import { cutDayPage, cutPage, readDayPage, readPage } from "./pages.ts";
import { rememberedResult } from "./results.ts";
import { type Docs, route } from "./route.ts";

const guarded = { tag: "Usage", permission: "usage:read", method: "get" } as const;
const whole = "see the usage, which is of all keys";
const dayMs = 24 * 3600 * 1000;
const firstDay = "0001-01-01"; // Postgres has no year 0

export const listUsage = route(
	{
		...guarded,
		path: "/v1/usage",
		id: "listUsage",
		query: schema.listUsageQuery,
	},
	async ({ services, caller, query }) => {
		const refusal = refuseScoped(caller, whole);
		if (refusal) return refusal;
		const listing = { of: "listUsage", tenant: caller.tenant, query };
		const page = readDayPage(listing);
		if (!page.ok) return page;
		const dayAt = (time: number) => new Date(time).toISOString().slice(0, 10);
		const { by, to = dayAt(services.clock()) } = query;
		const shownFrom = dayAt(Date.parse(to) - limits.usageShownDays * dayMs);
		const from = query.from ?? (shownFrom < firstDay ? firstDay : shownFrom);
		const targetId = query.target ?? (by === "target" ? null : allTargets);
		const wanted = { from, to, targetId, ...page.value };
		return rememberedResult(services, caller.tenant, ["listUsage", wanted, query], async () => {
			const found = await selectUsage(services.db, caller.tenant, wanted);
			const { rows, nextCursor } = cutDayPage(found, page.value, listing);
			return ok({ usage: rows.map(toUsage), nextCursor });
		});
	},
);

export const listUsedKeys = route(
	{
		...guarded,
		path: "/v1/usage/keys",
		id: "listUsedKeys",
		query: schema.listUsedKeysQuery,
	},
	async ({ services: { db }, caller, query }) => {
		const refusal = refuseScoped(caller, whole);
		if (refusal) return refusal;
		const listing = { of: "listUsedKeys", tenant: caller.tenant, query };
		const page = readPage(listing);
		if (!page.ok) return page;
		const { rows, nextCursor } = cutPage(
			await usedKeys(db, caller.tenant, page.value),
			page.value,
			listing,
		);
		const keys = rows.map(({ current_version, rotated_at, last_used_on, ...key }) => ({
			...key,
			currentVersion: current_version,
			rotatedAt: rotated_at,
			lastUsedOn: last_used_on,
		}));
		return ok({ json: { keys, nextCursor } });
	},
);

function toUsage({ target_id, cost, ...counts }: UsageRow) {
	const targetId = target_id === allTargets || target_id === firstId ? null : target_id;
	return { ...counts, targetId, cost: cost / tokenParts };
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function usageDocs() {
	return {
		listUsage: {
			summary: "What was done, counted by day and key, the newest first",
			description:
				"Counts of the audit log's records, each once, some seconds after it was made: when it has come to Postgres. They are kept for 400 days. An answer can be five seconds old, which `Age` tells.",
			answer: { description: "A page of counts", schema: answers.usagePage },
			failures: ["invalid_cursor", "scoped_token_forbidden"],
			examples: [{}, { query: { by: "target", from: "2026-11-01", limit: "20" } }],
		},
		listUsedKeys: {
			summary: "Keys with their latest version and last use",
			answer: { description: "A page of keys", schema: answers.usedKeyPage },
			failures: ["invalid_cursor", "scoped_token_forbidden"],
			examples: [{ query: { limit: "20" } }],
		},
	} as const satisfies Docs;
}
