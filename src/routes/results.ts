import type { Failure } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import type { KeptResult, Services } from "../services.ts";
import type { Reply } from "./route.ts";

/** What a string holds, and what is around it. */
const bytesPerUnit = 2;
const overheadBytes = 256;

/**
 * The answer to a question whose reading is expensive: for limits.cacheResultsTtlMs the one that this
 * isolate gave before. Its Age (RFC 9111 section 5.1, seconds) says how old it is.
 * @param question everything that the answer depends on, but for the tenant
 */
export async function rememberedResult(
	{ resultCache, clock }: Pick<Services, "resultCache" | "clock">,
	tenant: string,
	question: readonly [route: string, ...parts: unknown[]],
	read: () => Promise<Result<unknown, Failure>>,
): Promise<Result<Reply, Failure>> {
	const name = JSON.stringify(question);
	const known = resultCache.get(tenant, name);
	if (known) return ok(answer(known, clock() - known.at));
	const since = resultCache.now();
	const at = clock();
	const found = await read();
	if (!found.ok) return found;
	const result = { body: JSON.stringify(found.value), at };
	const bytes = overheadBytes + bytesPerUnit * (name.length + result.body.length);
	resultCache.set(tenant, name, result, bytes, since);
	return ok(answer(result, 0));
}

function answer({ body }: KeptResult, ageMs: number): Response {
	const headers = {
		"Content-Type": "application/json",
		"Cache-Control": "private, no-cache",
		Age: String(Math.floor(ageMs / 1000)),
	};
	return new Response(body, { headers });
}
