import { NeonDbError } from "@neondatabase/serverless";
import { describe, expect, it } from "vitest";
import { translate } from "../../src/db/client.ts";

function refusal(code: string): NeonDbError {
	return Object.assign(new NeonDbError("the words of Postgres"), { code });
}

describe("what Postgres answers in place of rows", () => {
	it.each([
		["a connection that failed", "08006"],
		["a disk that is full", "53100"],
		["an end that an operator asked for", "57P01"],
		["a statement that took too long", "57014"],
		["a system's error", "58000"],
		["a disk that does not read", "58030"],
		["a primary that is becoming a standby", "25006"],
		["a transaction that took too long", "25P04"],
		["a deadlock", "40P01"],
	])("of %s is that it could not", (_, state) => {
		expect(translate("keys.insert", refusal(state))).toMatchObject({
			name: "DatabaseUnavailable",
			message: `keys.insert: ${state}`,
		});
	});

	it.each([
		["a unique name that is taken", "23505"],
		["a statement in a transaction that failed", "25P02"],
		["a read that a replica had to cancel", "40001"],
		["a lock that another has", "55P03"],
		["a statement that is wrong", "42601"],
	])("of %s is that it would not", (_, state) => {
		expect(translate("keys.insert", refusal(state))).toMatchObject({
			name: "DatabaseError",
			sqlState: state,
		});
	});
});
