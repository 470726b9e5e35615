import type { Role } from "../model.ts";

/** What a route asks of its caller, and the roles that have it: the whole of the authorisation policy. */
export const permissions = {
	"keys:read": ["admin", "signer", "verifier", "auditor"],
	"keys:write": ["admin"],
	sign: ["admin", "signer"],
	verify: ["admin", "signer", "verifier"],
	"tokens:read": ["admin", "auditor"],
	"tokens:write": ["admin"],
	"config:read": ["admin", "auditor"],
	"config:write": ["admin"],
	"audit:read": ["admin", "auditor"],
	"cache:read": ["admin"],
	"cache:write": ["admin"],
	"usage:read": ["admin", "auditor"],
	"benchmarks:read": ["admin", "auditor"],
	"benchmarks:run": ["admin"],
} as const satisfies Record<string, readonly Role[]>;

export type Permission = keyof typeof permissions;

export function allows(role: Role, permission: Permission): boolean {
	return (permissions[permission] as readonly Role[]).includes(role);
}
