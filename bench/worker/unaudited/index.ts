/** The audit log taken out: stands for src/routes/audited.ts in the bundle (http-audit.ts). */
import { ok } from "../../../src/lib/result.ts";
import type * as audited from "../../../src/routes/audited.ts";

export const witness: typeof audited.witness = async ({ route }, own) => ({
	result: await route.handle(own),
	record: null,
});

export const refusal: typeof audited.refusal = (_, error) => ({
	result: { ok: false, error },
	record: null,
});

export const released: typeof audited.released = async (_, { result }) =>
	result.ok ? ok(result.value) : result;
