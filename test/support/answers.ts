import { expect } from "vitest";
import { type ErrorCode, errorTable } from "../../src/errors.ts";
import type { Answer } from "./tenant.ts";

interface Said {
	/** RFC 6901; of the first field that is wrong. */
	readonly pointer?: string;
	/** What the detail must have in it: the rule and the value. */
	readonly says?: readonly (string | RegExp)[];
}

/** What is always of a field, which is then named. */
const fieldsOf: Partial<Record<ErrorCode, RegExp>> = {
	digest_unsupported: /^\/digest$/,
	encoding_unsupported: /^\/encoding$/,
	format_unsupported: /^\/format$/,
	invalid_digest_length: /^\/digest$/,
	invalid_key_material: /^\/(key|publicKey)$/,
	invalid_minimum_version: /^\/min(Sign|Verify)Version$/,
	key_name_taken: /^\/name$/,
	version_below_minimum: /^\/version$/,
	version_not_found: /^\/version$/,
};

/** A problem document (RFC 9457) with this status and code, which is whole in every other way too. */
export function expectProblem(
	answer: Answer,
	status: number,
	code: ErrorCode,
	{ pointer, says = [] }: Said = {},
): void {
	expect({ status: answer.status, code: answer.json?.code }, answer.text.slice(0, 400)).toEqual({
		status,
		code,
	});
	expect(answer.headers.get("content-type")).toBe("application/problem+json");
	const { title, type, requestId, detail, errors } = answer.json;
	expect(answer.json.status).toBe(status);
	expect(title).toBe(errorTable[code].title);
	expect(type).toBe(`/docs#${code}`);
	expect(requestId).toBe(answer.headers.get("x-request-id"));
	for (const part of says) {
		if (typeof part === "string") expect(detail).toContain(part);
		else expect(detail).toMatch(part);
	}
	const field = fieldsOf[code];
	if (field) expect(errors?.[0]?.pointer).toMatch(field);
	if (pointer === undefined) return;
	expect(errors[0]).toMatchObject({ pointer, code });
	expect(detail).toContain(errors[0].detail);
}

/** Headers that every answer has, whatever it is. */
export function expectBaseHeaders(headers: Headers): void {
	expect(headers.get("x-content-type-options")).toBe("nosniff");
	expect(headers.get("strict-transport-security")).toBe("max-age=63072000; includeSubDomains");
	expect(headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
	expect(headers.get("x-request-id")).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-/);
	expect(headers.get("cache-control")).not.toBeNull();
}
