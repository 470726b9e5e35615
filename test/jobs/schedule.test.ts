import { beforeAll, describe, expect, it } from "vitest";
import { runScheduled } from "../../src/jobs/run.ts";
import { schedule } from "../../src/jobs/schedule.ts";
import * as limits from "../../src/limits.ts";
import type { LogEvent } from "../../src/observe/log.ts";
import type { Services } from "../../src/services.ts";
import { type OwnSchema, ownSchema } from "../support/schema.ts";
import { newTenant } from "../support/tenant.ts";

let schema: OwnSchema;
beforeAll(async () => {
	schema = await ownSchema();
	// A full stock, so that no key has to be made.
	for (const bits of [2048, 3072, 4096]) {
		await schema.query(
			`insert into spare_keys (modulus_length, id, public_jwk, kek_id, sealed)
			select $1, gen_random_uuid(), '{}', $2, '' from generate_series(1, 4)`,
			[bits, schema.services.envelope.newestKekId],
		);
	}
});

function logging(): { services: Services; events: LogEvent[] } {
	const events: LogEvent[] = [];
	let now = Date.now();
	const clock = () => (now += 5);
	return { services: { ...schema.services, clock, log: (event) => events.push(event) }, events };
}

describe("the schedule", () => {
	it("runs every job of a tick, and logs what each did and how long it took", async () => {
		await schema.query(
			`insert into keys (tenant_id, id, name, algorithm, has_private, state, delete_at)
			select 'main', gen_random_uuid(), 'due-' || n, 'Ed25519', true, 'pending_deletion', now()
			from generate_series(1, 3) n`,
		);
		const { services, events } = logging();
		await runScheduled(schedule, services, "* * * * *");
		const names = Object.keys(schedule["* * * * *"] ?? {});
		expect(events.map((event) => event.event === "job_done" && event.job)).toEqual(names);
		expect(events).toContainEqual({
			event: "job_done",
			job: "purgeDueKeys",
			milliseconds: expect.any(Number),
			count: 3,
		});
		expect(await schema.query("select 1 from keys")).toEqual([]);
		const noted = "select action, token_id, target_name from audit_outbox order by target_name";
		expect(await schema.query(noted)).toEqual(
			["due-1", "due-2", "due-3"].map((target_name) => ({
				...{ action: "keys.purge", token_id: null, target_name },
			})),
		);
	});

	it("purges the keys of each tenant with records of its own", async () => {
		await schema.query("delete from audit_outbox");
		const { id: other } = await newTenant(); // which its coordinator knows
		await schema.query("insert into tenants (id) values ($1)", [other]);
		// In turn: whoever took those of both would take the other's first.
		await schema.query(
			`insert into keys (tenant_id, id, name, algorithm, has_private, state, delete_at)
			select tenant_id, gen_random_uuid(), tenant_id || n, 'Ed25519', true, 'pending_deletion',
				now() - make_interval(hours => 2 * n + (tenant_id = $1)::int)
			from unnest(array['main', $1]) tenant_id, generate_series(1, 2) n`,
			[other],
		);
		const { services } = logging();
		await runScheduled(schedule, services, "* * * * *");
		const noted = "select tenant_id, target_name from audit_outbox order by target_name";
		const expected = [1, 2].flatMap((n) =>
			["main", other].map((id) => ({ tenant_id: id, target_name: `${id}${n}` })),
		);
		const found = await schema.query(noted);
		expect(found).toHaveLength(expected.length);
		expect(found).toEqual(expect.arrayContaining(expected));
	});

	it("asks others no more often, all jobs together, than the platform lets one run", () => {
		// Around each tenant's purge a look at Postgres, what is announced and what is confirmed; the history of a run of
		// benchmarks, and storing it.
		const calls =
			4 * limits.purgeKeysPerRun +
			limits.auditOutboxPerRun +
			limits.auditPartitionCallsPerRun +
			2 * limits.benchmarkTenantsPerRun +
			2 * limits.spareRsaKeysMadePerRun;
		expect(calls).toBeLessThan(1_000 - 50); // what each job asks for once
	});

	it("goes on with the other jobs when one fails, and logs the failure", async () => {
		await schema.query("alter table keys rename to keys_gone");
		const { services, events } = logging();
		await runScheduled(schedule, services, "* * * * *");
		await schema.query("alter table keys_gone rename to keys");
		expect(events[0]).toMatchObject({ event: "job_failed", job: "purgeDueKeys" });
		expect(events.slice(1).every(({ event }) => event === "job_done")).toBe(true);
		expect(events).toHaveLength(Object.keys(schedule["* * * * *"] ?? {}).length);
	});

	it("does nothing at a tick that it does not know", async () => {
		const { services, events } = logging();
		await runScheduled(schedule, services, "0 0 1 1 *");
		expect(events).toEqual([]);
	});
});
