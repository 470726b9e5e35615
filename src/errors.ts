import { type Err, err } from "./lib/result.ts";

/**
 * Every way the service says no: the stable code, its HTTP status and its title (RFC 9457).
 * The OpenAPI document is generated from this table. A code is never renamed.
 */
export const errorTable = {
	// The request itself
	invalid_json: { status: 400, title: "The body is not valid JSON" },
	invalid_request: { status: 400, title: "The request does not match its schema" },
	unknown_field: { status: 400, title: "The request has a field that is not known here" },
	too_deep: { status: 400, title: "The JSON is nested too deeply" },
	invalid_base64: { status: 400, title: "A binary field is not valid base64" },
	invalid_cursor: { status: 400, title: "The cursor is not one that a list handed out" },
	body_too_large: { status: 413, title: "The body is too large" },
	message_too_large: { status: 413, title: "The message is too large" },
	body_timeout: { status: 408, title: "The body did not come in time" },
	unsupported_media_type: { status: 415, title: "The body must be application/json" },
	route_not_found: { status: 404, title: "There is nothing at this path" },
	method_not_allowed: { status: 405, title: "The path does not take this method" },

	// Idempotency-Key
	invalid_idempotency_key: { status: 400, title: "The Idempotency-Key is not well formed" },
	idempotency_key_reused: {
		status: 422,
		title: "The Idempotency-Key was used for another request",
	},
	idempotency_running: { status: 409, title: "The request with this Idempotency-Key still runs" },
	idempotency_full: {
		status: 503,
		title: "No more answers can be kept by Idempotency-Key for now",
	},

	// Who may do what
	missing_token: { status: 401, title: "A bearer token is needed" },
	invalid_token: { status: 401, title: "The bearer token is not valid" },
	role_forbidden: { status: 403, title: "The token's role may not do this" },
	key_out_of_scope: { status: 403, title: "The token is not for this key" },
	scoped_token_forbidden: {
		status: 403,
		title: "A token limited to some keys may not do this",
	},
	token_not_found: { status: 404, title: "There is no such token" },

	// Keys and their life
	key_not_found: { status: 404, title: "There is no such key" },
	tenant_not_found: { status: 404, title: "There is no such tenant" },
	version_not_found: { status: 404, title: "The key has no such version" },
	key_name_taken: { status: 409, title: "Another key has this name" },
	key_disabled: { status: 409, title: "The key is disabled" },
	key_pending_deletion: { status: 409, title: "The key is scheduled for deletion" },
	key_not_pending_deletion: { status: 409, title: "The key is not scheduled for deletion" },
	key_public_only: { status: 409, title: "The key has no private half here" },
	version_below_minimum: { status: 409, title: "The version is below the key's minimum" },
	too_many_verifications: {
		status: 422,
		title: "The batch would verify more signatures than one request may",
	},
	too_many_versions: { status: 409, title: "The key has as many versions as it may have" },
	concurrent_change: { status: 409, title: "Another request changed it meanwhile" },
	invalid_minimum_version: { status: 422, title: "The minimum versions do not fit the key" },

	// The configuration
	config_version_not_found: { status: 404, title: "The configuration has no such version" },
	precondition_failed: { status: 412, title: "A condition of the request does not hold" },

	// Key material and signatures
	invalid_key_material: { status: 422, title: "The key material can not be used" },
	digest_unsupported: { status: 422, title: "The algorithm can not sign a digest" },
	invalid_digest_length: { status: 422, title: "The digest has the wrong length" },
	encoding_unsupported: { status: 422, title: "The algorithm has no such encoding" },
	format_unsupported: { status: 422, title: "The key has no such format" },
	algorithm_unsupported: { status: 422, title: "The algorithm can not do this" },
	malformed_signature: { status: 422, title: "The signature is not well formed" },

	// Limits
	rate_limited: { status: 429, title: "A rate limit is used up" },
	cost_above_limit: { status: 422, title: "The request costs more than its limit ever holds" },

	// The audit log
	audit_unavailable: { status: 503, title: "The record could not be made durable" },
	audit_record_not_found: { status: 404, title: "There is no such record" },
	audit_chain_broken: { status: 500, title: "A record is not what its chain was made of" },
	audit_backlog_full: { status: 503, title: "The audit log takes no more records for now" },

	// Ours
	overloaded: { status: 503, title: "Less important work is refused for now" },
	lease_lapsed: {
		status: 503,
		title: "The permission to answer ended before the answer was ready",
	},
	unavailable: { status: 503, title: "A part of the service does not answer" },
	internal: { status: 500, title: "Something failed on our side" },
} as const satisfies Record<string, { status: number; title: string }>;

export type ErrorCode = keyof typeof errorTable;

/** One field of the request that is wrong, named by its JSON pointer (RFC 6901). */
export interface FieldError {
	readonly pointer: string;
	readonly code: ErrorCode;
	readonly detail: string;
}

/** Why a domain function said no. `detail` tells the rule and the value, never a secret. */
export interface Failure {
	readonly code: ErrorCode;
	readonly detail: string;
	readonly errors?: readonly FieldError[];
	/** Of a token that was good once: for the log, and never told. */
	readonly tokenId?: string;
	/** The key that was asked for, where it was found: for the log too. */
	readonly target?: { readonly id: string; readonly name: string; readonly algorithm: string };
	/** Milliseconds after which it is worth trying again. */
	readonly retryAfterMs?: number;
	/** The rate limits that were reached, by name. */
	readonly violatedPolicies?: readonly string[];
	/** It was the answer to an earlier request with the same Idempotency-Key. */
	readonly isReplay?: boolean;
}

export function fail(
	code: ErrorCode,
	detail: string,
	errors?: readonly FieldError[],
): Err<Failure> {
	return err(errors ? { code, detail, errors } : { code, detail });
}

/** Of what one field says, where that is. */
export function failField(code: ErrorCode, pointer: string, detail: string): Err<Failure> {
	return fail(code, `${pointer}: ${detail}`, [{ pointer, code, detail }]);
}

/** The same failure, said of a field. */
export function inField({ error: { code, detail } }: Err<Failure>, pointer: string): Err<Failure> {
	return failField(code, pointer, detail);
}
