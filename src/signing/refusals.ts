import type { KeyChange, KeyRow } from "../db/keys.ts";
import { type ErrorCode, type Failure, fail } from "../errors.ts";
import type { Err } from "../lib/result.ts";

export function notFound(ref: string): Err<Failure> {
	return fail("key_not_found", `There is no key "${ref}".`);
}

export function outOfScope(ref: string): Err<Failure> {
	return fail("key_out_of_scope", `This token is not for the key "${ref}".`);
}

export function nameTaken(name: string): Err<Failure> {
	return fail(
		"key_name_taken",
		`There is a key named "${name}" already, or one that was deleted and is not purged yet.`,
	);
}

export function publicOnly(name: string): Err<Failure> {
	return fail("key_public_only", `The key "${name}" was imported without its private half.`);
}

export function badMinimum(key: KeyRow, change: KeyChange): Err<Failure> {
	const verify = change.minVerifyVersion ?? key.min_verify_version;
	const sign = change.minSignVersion ?? key.min_sign_version;
	return fail(
		"invalid_minimum_version",
		`1 <= minVerifyVersion <= minSignVersion <= ${key.current_version} must hold; got ${verify} and ${sign}.`,
	);
}

export function refusedMove(code: ErrorCode, key: KeyRow): Err<Failure> {
	return fail(code, `The key "${key.name}" is ${key.state.replace("_", " ")}.`);
}
