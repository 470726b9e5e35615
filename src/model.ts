/** The nouns that every layer shares, from the column in Postgres to the field in the API. */

export const roles = ["admin", "signer", "verifier", "auditor"] as const;
export type Role = (typeof roles)[number];

export const keyStates = ["enabled", "disabled", "pending_deletion"] as const;
export type KeyState = (typeof keyStates)[number];
