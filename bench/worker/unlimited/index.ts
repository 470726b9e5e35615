/**
 * The limiter taken out: stands for src/routes/admission.ts in the bundle (http-limiter.ts). Who calls,
 * and whether their role may, is asked as it is there.
 */
import { allows } from "../../../src/auth/roles.ts";
import { readCredentials } from "../../../src/auth/tokens.ts";
import { fail } from "../../../src/errors.ts";
import { ok } from "../../../src/lib/result.ts";
import type * as admission from "../../../src/routes/admission.ts";
import { identify } from "../../../src/routes/admission.ts";

export { lapsed, operationFor } from "../../../src/routes/admission.ts";

export const admit: typeof admission.admit = async (services, raw) => {
	const credentials = readCredentials(raw.headers.get("authorization"));
	if (!credentials.ok) return credentials;
	const { tenant, hash } = credentials.value;
	const known = services.tokenCache.get(tenant, hash);
	const caller = await identify(services, credentials.value, known, () => null);
	return caller.ok ? ok({ caller: caller.value, epoch: 0, life: 0 }) : caller;
};

export const readmit: typeof admission.readmit = (services, raw) =>
	admit(services, raw, { limit: null });

export const limitAddress: typeof admission.limitAddress = () => null;

export const limitLookUp: typeof admission.limitLookUp = async () => null;

export const spend: typeof admission.spend = async (_, { role }, { permission }) =>
	allows(role, permission) ? ok(null) : fail("role_forbidden", "The role does not allow it.");

export const holds: typeof admission.holds = () => true;
