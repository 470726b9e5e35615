import type { KeyChange, KeyRow } from "../db/keys.ts";
import { type ErrorCode, type Failure, fail, failField } from "../errors.ts";
import { type Err, err } from "../lib/result.ts";

export function notFound(ref: string): Err<Failure> {
	return fail("key_not_found", `There is no key "${ref}".`);
}

/** @param key where it was found */
export function outOfScope(ref: string, key?: KeyRow): Err<Failure> {
	const detail = `This token is not for the key "${ref}".`;
	return key ? of(key, "key_out_of_scope", detail) : fail("key_out_of_scope", detail);
}

/** A refusal that is on record as one of this key, by whatever name it was asked for. */
function of({ id, name, algorithm }: KeyRow, code: ErrorCode, detail: string): Err<Failure> {
	return err({ code, detail, target: { id, name, algorithm } });
}

export function nameTaken(name: string): Err<Failure> {
	return failField(
		"key_name_taken",
		"/name",
		`There is a key named "${name}" already, or one that was deleted and is not purged yet.`,
	);
}

export function publicOnly(name: string): Err<Failure> {
	return fail("key_public_only", `The key "${name}" was imported without its private half.`);
}

export function badMinimum(key: KeyRow, change: KeyChange): Err<Failure> {
	const verify = change.minVerifyVersion ?? key.min_verify_version;
	const sign = change.minSignVersion ?? key.min_sign_version;
	// It is one of the two that is wrong, and nobody can tell which: those that were sent are named.
	const code = "invalid_minimum_version";
	const detail = `1 <= minVerifyVersion <= minSignVersion <= ${key.current_version} must hold; got ${verify} and ${sign}.`;
	const sent = (["minVerifyVersion", "minSignVersion"] as const).filter(
		(name) => change[name] !== undefined,
	);
	return fail(
		code,
		detail,
		sent.map((name) => ({ pointer: `/${name}`, code, detail })),
	);
}

export function refusedMove(code: ErrorCode, key: KeyRow): Err<Failure> {
	return of(key, code, `The key "${key.name}" is ${key.state.replace("_", " ")}.`);
}

export function belowMinimum(key: KeyRow, version: number, minimum: number): Err<Failure> {
	const code = "version_below_minimum";
	const detail = `Version ${version} is below the minimum ${minimum}.`;
	const refusal = of(key, code, detail);
	return err({ ...refusal.error, errors: [{ pointer: "/version", code, detail }] });
}
