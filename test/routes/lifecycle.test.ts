import { env } from "cloudflare:workers";
import { beforeAll, describe, expect, it } from "vitest";
import type { ErrorCode } from "../../src/errors.ts";
import { schedule } from "../../src/jobs/schedule.ts";
import { type KeyState, keyStates } from "../../src/model.ts";
import { createServices } from "../../src/services.ts";
import { expectProblem } from "../support/answers.ts";
import { deletionIsDue, hello, type Key, newKey, newKeyIn, signed } from "../support/keys.ts";
import { type Answer, newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

const signature = `${"A".repeat(86)}==`;
const dayMs = 24 * 3600 * 1000;

/** Every way to reach a key: method, path behind the key, body. */
const moves = {
	enable: ["POST", "/enable", undefined],
	disable: ["POST", "/disable", undefined],
	delete: ["DELETE", "", undefined],
	restore: ["POST", "/restore", undefined],
	rotate: ["POST", "/rotate", undefined],
	update: ["PATCH", "", { tags: { moved: "yes" } }],
} as const;

const uses = {
	sign: ["POST", "/sign", { message: hello }],
	verify: ["POST", "/verify", { message: hello, signature }],
	signBatch: ["POST", "/sign-batch", { items: [{ message: hello }] }],
	verifyBatch: ["POST", "/verify-batch", { items: [{ message: hello, signature }] }],
	jwt: ["POST", "/jwt", { claims: {} }],
} as const;

const reads = {
	describe: ["GET", "", undefined],
	public: ["GET", "/public", undefined],
} as const;

function ask(
	ref: string,
	[method, path, json]: readonly [string, string, unknown],
): Promise<Answer> {
	return tenant.call(method, `/v1/keys/${ref}${path}`, json === undefined ? {} : { json });
}

/** The whole life of a key, written down a second time: the state that a move leads to, or its refusal. */
const life: Readonly<Record<keyof typeof moves, Readonly<Record<KeyState, KeyState | ErrorCode>>>> =
	{
		enable: { enabled: "enabled", disabled: "enabled", pending_deletion: "key_pending_deletion" },
		disable: {
			enabled: "disabled",
			disabled: "disabled",
			pending_deletion: "key_pending_deletion",
		},
		delete: {
			enabled: "pending_deletion",
			disabled: "pending_deletion",
			pending_deletion: "key_pending_deletion",
		},
		restore: {
			enabled: "key_not_pending_deletion",
			disabled: "key_not_pending_deletion",
			pending_deletion: "disabled",
		},
		rotate: {
			enabled: "enabled",
			disabled: "disabled",
			pending_deletion: "key_pending_deletion",
		},
		update: { enabled: "enabled", disabled: "disabled", pending_deletion: "key_pending_deletion" },
	};

const steps = Object.entries(life).flatMap(([move, outcomes]) =>
	keyStates.map((state) => ({ move: move as keyof typeof moves, state, outcome: outcomes[state] })),
);

describe("a key's state", () => {
	it.each(steps)("$state: $move leads to $outcome", async ({ move, state, outcome }) => {
		const before = await newKeyIn(tenant, state);
		const answer = await ask(before.name, moves[move]);
		const after = (await ask(before.id, reads.describe)).json;
		if (!keyStates.some((known) => known === outcome)) {
			const words = state.replace("_", " ");
			expectProblem(answer, 409, outcome as ErrorCode, { says: [`"${before.name}"`, words] });
			return expect(after).toEqual(before);
		}
		expect(answer.status, answer.text).toBe(200);
		expect(answer.json).toEqual(after);
		expect(after.state).toBe(outcome);
		expect(after.deleteAt === null).toBe(outcome !== "pending_deletion");
		expect(after.version).toBe(move === "rotate" ? 2 : 1);
		expect(after.tags).toEqual(move === "update" ? { moved: "yes" } : {});
	});

	it.each(Object.keys(uses) as (keyof typeof uses)[])("decides whether %s works", async (use) => {
		const [enabled, disabled, pending] = [
			await newKeyIn(tenant, "enabled"),
			await newKeyIn(tenant, "disabled"),
			await newKeyIn(tenant, "pending_deletion"),
		];
		expect((await ask(enabled.id, uses[use])).status).toBe(200);
		expectProblem(await ask(disabled.id, uses[use]), 409, "key_disabled", { says: ["disabled"] });
		const refused = await ask(pending.name, uses[use]);
		expectProblem(refused, 409, "key_pending_deletion", { says: ["pending deletion"] });
	});

	it.each(keyStates)("lets everyone read of a key that is %s", async (state) => {
		const key = await newKeyIn(tenant, state);
		expect((await ask(key.id, reads.public)).json).toEqual(key.publicKey.jwk);
		const listed = await tenant.call("GET", `/v1/keys?state=${state}&limit=200`);
		expect(listed.json.keys.map(({ id }: Key) => id)).toContain(key.id);
	});

	it.each(["disable", "delete"] as const)(
		"stops a warm key in this isolate at once: %s",
		async (move) => {
			const key = await newKey(tenant);
			await signed(tenant, key.id);
			await signed(tenant, key.name);
			await ask(key.name, moves[move]);
			for (const ref of [key.id, key.name]) expect((await ask(ref, uses.sign)).status).toBe(409);
		},
	);

	it("comes back by hand: restored, then enabled, it signs with the same version", async () => {
		const key = await newKey(tenant);
		const before = await signed(tenant, key.id);
		await ask(key.id, moves.delete);
		await ask(key.id, moves.restore);
		expectProblem(await ask(key.id, uses.sign), 409, "key_disabled");
		await ask(key.id, moves.enable);
		expect(await signed(tenant, key.id)).toEqual(before);
	});

	it("takes every one of many moves at once, or says that others were faster", async () => {
		const key = await newKey(tenant);
		const answers = await Promise.all(Array.from({ length: 6 }, () => ask(key.id, moves.rotate)));
		for (const answer of answers) {
			if (answer.status !== 200) expectProblem(answer, 409, "concurrent_change");
		}
		const rotations = answers.filter(({ status }) => status === 200);
		expect(rotations.length).toBeGreaterThan(0);
		const versions = rotations.map(({ json }) => json.version).sort((a, b) => a - b);
		expect(versions).toEqual(Array.from({ length: rotations.length }, (_, i) => i + 2));
		expect((await ask(key.id, reads.describe)).json.version).toBe(rotations.length + 1);
	});
});

describe("a change that takes no body and has no versions", () => {
	it.each([
		["DELETE", "", { days: 7 }, "unknown_field"],
		["POST", "/disable", { fence: true }, "unknown_field"],
		["POST", "/rotate", [], "invalid_request"],
	] as const)("%s %s refuses %j rather than ignore it", async (method, path, json, code) => {
		const key = await newKey(tenant);
		const answer = await tenant.call(method, `/v1/keys/${key.id}${path}`, { json });
		expectProblem(answer, 400, code);
		expect((await tenant.call("GET", `/v1/keys/${key.id}`)).json).toEqual(key);
		const empty = await tenant.call(method, `/v1/keys/${key.id}${path}`, { json: {} });
		expect(empty.status, empty.text).toBe(200);
	});

	it("refuses an If-Match that names one", async () => {
		const key = await newKey(tenant);
		const patch = (match: string) =>
			tenant.call("PATCH", `/v1/keys/${key.id}`, {
				json: { tags: { a: "b" } },
				headers: { "If-Match": match },
			});
		expectProblem(await patch('"1"'), 412, "precondition_failed");
		expect((await tenant.call("GET", `/v1/keys/${key.id}`)).json).toEqual(key);
		expect((await patch("*")).status).toBe(200);
	});
});

describe("DELETE /v1/keys/{key}", () => {
	it.each([
		["", 30],
		["?days=7", 7],
		["?days=07", 7],
		["?days=30", 30],
	])("schedules with %s the deletion in %s days", async (query, days) => {
		const key = await newKey(tenant);
		const answer = await tenant.call("DELETE", `/v1/keys/${key.id}${query}`);
		expect(answer.json.state).toBe("pending_deletion");
		const inMs = Date.parse(answer.json.deleteAt) - Date.parse(answer.json.updatedAt);
		expect(inMs).toBe(days * dayMs);
	});

	it.each([
		["days=6", "from 7 to 30", '"6"'],
		["days=31", "from 7 to 30", '"31"'],
		["days=0", "from 7 to 30", '"0"'],
		["days=-7", "whole number", '"-7"'],
		["days=7.5", "whole number", '"7.5"'],
		["days=", "whole number", '""'],
		["days=100", "whole number", '"100"'],
	])("refuses %s", async (query, rule, value) => {
		const key = await newKey(tenant);
		const answer = await tenant.call("DELETE", `/v1/keys/${key.id}?${query}`);
		expectProblem(answer, 400, "invalid_request", { pointer: "/days", says: [rule, value] });
		expect((await ask(key.id, reads.describe)).json.state).toBe("enabled");
	});

	it("keeps the first day when it is asked again", async () => {
		const key = await newKey(tenant);
		const first = await tenant.call("DELETE", `/v1/keys/${key.id}?days=7`);
		const second = await tenant.call("DELETE", `/v1/keys/${key.id}?days=30`);
		expectProblem(second, 409, "key_pending_deletion");
		expect((await ask(key.id, reads.describe)).json.deleteAt).toBe(first.json.deleteAt);
	});
});

describe("a key whose day of deletion has come", () => {
	it.each(Object.entries({ ...moves, ...uses, ...reads }))(
		"is not there for %s",
		async (_, what) => {
			const key = await newKey(tenant);
			await deletionIsDue(tenant, key.id);
			for (const ref of [key.id, key.name]) {
				expectProblem(await ask(ref, what), 404, "key_not_found", { says: [`"${ref}"`] });
			}
		},
	);

	it("is in no list and in no JWKS", async () => {
		const key = await newKey(tenant, "Ed25519", { name: "listed-no-more" });
		await deletionIsDue(tenant, key.id);
		for (const query of ["", "&state=pending_deletion"]) {
			const listed = await tenant.call("GET", `/v1/keys?prefix=listed-no-more${query}`);
			expect(listed.json.keys).toEqual([]);
		}
		const jwks = await tenant.call("GET", `/t/${tenant.id}/.well-known/jwks.json`);
		expect(jwks.text).not.toContain(key.id);
	});

	it("is purged by the scheduled job with its versions, and its name is free again", async () => {
		const [due, waiting] = [await newKey(tenant), await newKeyIn(tenant, "pending_deletion")];
		await ask(due.id, moves.rotate);
		await deletionIsDue(tenant, due.id);
		const job = schedule["* * * * *"]?.purgeDueKeys;
		const epoch = async () => {
			const term = await createServices(env).leases.term(tenant.id);
			return "epoch" in term ? term.epoch : 0;
		};
		const before = await epoch();
		expect(await job?.(createServices(env))).toBeGreaterThan(0);
		// What isolates and Redis remember of the key is over: another one may have its name.
		expect(await epoch()).toBeGreaterThan(before);
		const left = async (id: string) => {
			const counts = `select (select count(*)::int from keys where tenant_id = $1 and id = $2) as keys,
				(select count(*)::int from key_versions where tenant_id = $1 and key_id = $2) as versions`;
			return ownerSql().query(counts, [tenant.id, id]);
		};
		expect(await left(due.id)).toEqual([{ keys: 0, versions: 0 }]);
		const noted = "select target_id, place from audit_outbox where tenant_id = $1 and action = $2";
		const notes = await ownerSql().query(noted, [tenant.id, "keys.purge"]);
		expect(notes).toContainEqual({ target_id: due.id, place: `${tenant.id}/enam/0` });
		expect(notes.map(({ target_id }) => target_id)).not.toContain(waiting.id);
		expect(await left(waiting.id)).toEqual([{ keys: 1, versions: 1 }]);
		const again = await newKey(tenant, "Ed25519", { name: due.name });
		expect(again.id).not.toBe(due.id);
	});
});
