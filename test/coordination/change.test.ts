import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { ownNote } from "../../src/audit/own.ts";
import type { Caller } from "../../src/auth/tokens.ts";
import { changing } from "../../src/coordination/change.ts";
import { closingAt, type Database, DatabaseUnavailable } from "../../src/db/client.ts";
import { purgeKeys } from "../../src/db/keys.ts";
import type { Coordinator } from "../../src/index.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { err, ok } from "../../src/lib/result.ts";
import { uuidv7 } from "../../src/lib/uuid.ts";
import * as limits from "../../src/limits.ts";
import { admit, holds } from "../../src/routes/admission.ts";
import { serve } from "../../src/routes/serve.ts";
import { sign } from "../../src/routes/signing.ts";
import { createServices, type Services } from "../../src/services.ts";
import { algorithms } from "../../src/signing/algorithms.ts";
import { rotateKey } from "../../src/signing/keys.ts";
import { inBackground } from "../support/background.ts";
import { hello, type Key, newKey } from "../support/keys.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
let token: string;
let key: Key;
beforeEach(async () => {
	tenant = await newTenant();
	token = await tenant.token("admin");
	key = await newKey(tenant);
});

/** Another isolate, whose time is in the test's hands. */
function isolate() {
	let now = Date.now();
	const services = createServices(env, () => now);
	return {
		services,
		pass(milliseconds: number) {
			now += milliseconds;
		},
		async sign() {
			return (await serve(sign, services, signing(), { key: key.id }, inBackground)).status;
		},
		/** A request that has been let in, and has not answered yet. */
		async admitted() {
			const admitted = await admit(services, signing(), { limit: null });
			if (!admitted.ok) throw new Error(admitted.error.code);
			return admitted.value;
		},
	};
}

function signing(): Request {
	return new Request("https://edgesign.test/", {
		method: "POST",
		headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
		body: JSON.stringify({ message: hello }),
	});
}

function coordinatorOf({ id }: Tenant) {
	return env.COORDINATOR.getByName(id) as unknown as DurableObjectStub<Coordinator>;
}

/** What the database has when the change of another isolate is committed, and no more. */
async function commit(state: "enabled" | "disabled"): Promise<void> {
	const text = "update keys set state = $3 where tenant_id = $1 and id = $2";
	await ownerSql().query(text, [tenant.id, key.id, state]);
}

/** The same of the configuration. */
async function configure(version: number): Promise<void> {
	const text = "insert into config_versions (tenant_id, version, config) values ($1, $2, '{}')";
	await ownerSql().query(text, [tenant.id, version]);
}

/** What the coordinator lends. */
async function term() {
	const lent = await coordinatorOf(tenant).term(tenant.id, -1);
	if (lent.kind !== "lease") throw new Error(lent.kind);
	return lent;
}

/** As if the time of every announced change were over. */
async function ringAlarm(): Promise<boolean> {
	const stub = coordinatorOf(tenant);
	await runInDurableObject(stub, (_, { storage }) => {
		storage.sql.exec("update changes set due_at = 0");
	});
	return runDurableObjectAlarm(stub);
}

describe("a change that another isolate makes", () => {
	it("is known when the lease is over at the latest", async () => {
		const other = isolate();
		expect(await other.sign()).toBe(200);
		await tenant.call("POST", `/v1/keys/${key.id}/disable`);
		other.pass(limits.leaseTtlMs);
		expect(await other.sign()).toBe(409);
	});

	it("is known at once where the clock is set back, since nobody knows how long ago that was", async () => {
		const other = isolate();
		expect(await other.sign()).toBe(200);
		await tenant.call("POST", `/v1/keys/${key.id}/disable`);
		other.pass(-3_600_000);
		expect(await other.sign()).toBe(409);
	});

	it("goes on as ever after it was set back", async () => {
		const other = isolate();
		expect(await other.sign()).toBe(200);
		other.pass(-3_600_000);
		expect(await other.sign()).toBe(200);
		await tenant.call("POST", `/v1/keys/${key.id}/disable`);
		other.pass(limits.leaseTtlMs);
		expect(await other.sign()).toBe(409);
	});

	it("is known at once to the isolate that made it", async () => {
		expect(
			(await tenant.call("POST", `/v1/keys/${key.id}/sign`, { json: { message: hello } })).status,
		).toBe(200);
		await tenant.call("POST", `/v1/keys/${key.id}/disable`);
		const after = await tenant.call("POST", `/v1/keys/${key.id}/sign`, {
			json: { message: hello },
		});
		expect(after.status).toBe(409);
	});

	it("is known at once to the isolate that made it, though shards still lend the epoch of before", async () => {
		const { status } = await tenant.call("PUT", "/v1/config?fence=true", {
			json: { scaling_config: { coordinator_shards: 8 } },
		});
		expect(status).toBe(200);
		for (let round = 0; round < 8; round++) {
			const own = isolate(); // each asks the shard of its own name
			expect(await own.sign()).toBe(200);
			const underWay = await own.admitted();
			expect(await holds(own.services, underWay)).toBe(true);
			await changing(own.services, tenant.id, {}, async () => ok(await commit("disabled")));
			expect(await holds(own.services, underWay)).toBe(false);
			expect(await own.sign()).toBe(409);
			await changing(own.services, tenant.id, {}, async () => ok(await commit("enabled")));
			expect(await own.sign()).toBe(200);
		}
	});

	it("leaves no lease of before alive when its fenced answer is there", async () => {
		const other = isolate();
		expect(await other.sign()).toBe(200);
		const start = Date.now();
		const fenced = await tenant.call("POST", `/v1/keys/${key.id}/disable?fence=true`);
		expect(fenced.status).toBe(200);
		other.pass(Date.now() - start);
		expect(await other.sign()).toBe(409);
	});

	it("is refused as a fence by a value that is neither true nor false", async () => {
		const answer = await tenant.call("POST", `/v1/keys/${key.id}/disable?fence=yes`);
		expect([answer.status, answer.json.errors[0].pointer]).toEqual([400, "/fence"]);
	});
});

describe("a crash in the middle of a change", () => {
	it("before the commit: the epoch moves without need, and all goes on", async () => {
		const other = isolate();
		expect(await other.sign()).toBe(200);
		await coordinatorOf(tenant).announce(tenant.id, "state");
		expect(await ringAlarm()).toBe(true);
		other.pass(limits.leaseTtlMs);
		expect(await other.sign()).toBe(200);
	});

	it("after the commit: the alarm moves the epoch, and every isolate hears of it", async () => {
		const other = isolate();
		expect(await other.sign()).toBe(200);
		await coordinatorOf(tenant).announce(tenant.id, "state");
		await commit("disabled");
		other.pass(limits.leaseTtlMs); // the epoch has not moved: what it remembers still counts
		expect(await other.sign()).toBe(200);
		expect(await ringAlarm()).toBe(true);
		other.pass(limits.leaseTtlMs);
		expect(await other.sign()).toBe(409);
	});

	it("after the commit: the first lease after its time has the new epoch, though no alarm rang", async () => {
		const other = isolate();
		expect(await other.sign()).toBe(200);
		await coordinatorOf(tenant).announce(tenant.id, "state");
		await commit("disabled");
		await runInDurableObject(coordinatorOf(tenant), async (_, { storage }) => {
			await storage.deleteAlarm();
			storage.sql.exec("update changes set due_at = ?", Date.now());
		});
		other.pass(limits.leaseTtlMs);
		expect(await other.sign()).toBe(409);
	});

	it("and none, but a commit later than the alarm: its confirmation moves the epoch once more", async () => {
		const other = isolate();
		const change = await coordinatorOf(tenant).announce(tenant.id, "state");
		expect(await ringAlarm()).toBe(true);
		expect(await other.sign()).toBe(200); // the epoch is that of the alarm
		await commit("disabled");
		await coordinatorOf(tenant).confirm(tenant.id, change);
		other.pass(limits.leaseTtlMs);
		expect(await other.sign()).toBe(409);
	});

	it("after the confirmation: it is as if there was no crash", async () => {
		const other = isolate();
		expect(await other.sign()).toBe(200);
		const change = await coordinatorOf(tenant).announce(tenant.id, "state");
		await commit("disabled");
		await coordinatorOf(tenant).confirm(tenant.id, change);
		other.pass(limits.leaseTtlMs);
		expect(await other.sign()).toBe(409);
	});

	it("rings by itself, and is due when no commit can come any more", async () => {
		await coordinatorOf(tenant).announce(tenant.id, "state");
		const alarm = await runInDurableObject(coordinatorOf(tenant), (_, { storage }) =>
			storage.getAlarm(),
		);
		const wait = (alarm ?? 0) - Date.now();
		expect(wait).toBeGreaterThan(2 * limits.databaseTimeoutMs - 1_000);
		expect(wait).toBeLessThanOrEqual(limits.changeTimeoutMs);
	});

	it("rings again for what was not due yet, and lends the configuration that came with it", async () => {
		const stub = coordinatorOf(tenant);
		const { configVersion } = await term();
		await stub.announce(tenant.id, "state");
		const later = await stub.announce(tenant.id, "config");
		await configure(configVersion + 1);
		await runInDurableObject(stub, (_, { storage }) => {
			storage.sql.exec("update changes set due_at = 0 where id <> ?", later);
		});
		expect(await runDurableObjectAlarm(stub)).toBe(true);
		const next = await runInDurableObject(stub, (_, { storage }) => storage.getAlarm());
		expect(next).not.toBeNull();
		expect((await term()).configVersion).toBe(configVersion);
		expect(await ringAlarm()).toBe(true);
		expect((await term()).configVersion).toBe(configVersion + 1);
	});

	it("a change that came to nothing moves no epoch", async () => {
		const epoch = () =>
			runInDurableObject(coordinatorOf(tenant), (_, { storage }) =>
				storage.sql.exec("select value from kept where name = 'epoch'").one(),
			);
		const before = await epoch();
		expect((await tenant.call("POST", "/v1/keys/nothing/disable")).status).toBe(404);
		expect(await epoch()).toEqual(before);
		await tenant.call("POST", `/v1/keys/${key.id}/disable`);
		expect(await epoch()).not.toEqual(before);
	});
});

describe("two changes of the configuration at once", () => {
	it("leave the newer one, though what the first read comes last", async () => {
		await term();
		await configure(1);
		const real = globalThis.fetch;
		await runInDurableObject(coordinatorOf(tenant), async (object) => {
			const read = Promise.withResolvers<void>();
			const goOn = Promise.withResolvers<void>();
			globalThis.fetch = async (input, init) => {
				const isRead = String(init?.body).includes("config.latest");
				const isOwn = String(init?.body).includes(tenant.id);
				if (!isRead || !isOwn) return real(input, init);
				globalThis.fetch = real; // for the first one alone
				const answer = await real(input, init);
				read.resolve();
				await goOn.promise;
				return answer;
			};
			const confirm = () =>
				object.announce(tenant.id, "config").then((id) => object.confirm(tenant.id, id));
			const first = confirm();
			await read.promise;
			await configure(2);
			await confirm();
			goOn.resolve();
			await first;
		}).finally(() => {
			globalThis.fetch = real;
		});
		expect((await term()).configVersion).toBe(2);
	});
});

describe("a change that takes too long", () => {
	it("writes nothing any more once its alarm could come first", async () => {
		const { services, pass } = isolate();
		const state = async (db: Database) => {
			const statement = { name: "test.state", text: "select state from keys where id = $1" };
			return db.query<{ state: string }>(statement, [key.id]);
		};
		const change = changing(services, tenant.id, {}, async (db) => {
			expect(await state(db)).toEqual([{ state: "enabled" }]);
			pass(limits.changeWriteMs);
			await db.query({ name: "test.write", text: "update keys set state = 'disabled'" }, []);
			return ok(null);
		});
		await expect(change).rejects.toThrow(DatabaseUnavailable);
		expect(await state(services.db)).toEqual([{ state: "enabled" }]);
		const ends = limits.changeWriteMs + limits.databaseTransactionMs;
		expect(ends).toBeLessThan(limits.changeTimeoutMs);
	});
});

describe("who makes a change", () => {
	/** What is called, in its order, where the coordinator's confirmations end like this. */
	function watched(confirm: () => Promise<{ epoch: number; oldLeasesMs: number }>) {
		const calls: string[] = [];
		const coordinator = {
			async announce() {
				calls.push("announce");
				return "change-1";
			},
			confirm(_: string, change: string) {
				calls.push(`confirm ${change}`);
				return confirm();
			},
			async withdraw(_: string, change: string) {
				calls.push(`withdraw ${change}`);
			},
		};
		const forgetTenant = (id: string, epoch?: number) =>
			void calls.push(`forget ${id} ${epoch ?? "all"}`);
		const { db } = createServices(env);
		return { calls, services: { coordinator, forgetTenant, db, clock: () => 0 } };
	}
	const confirmed = async () => ({ epoch: 8, oldLeasesMs: 0 });
	const lost = () => Promise.reject(new Error("lost"));

	it("forgets the tenant when it is committed, and again when its epoch has moved", async () => {
		const { calls, services } = watched(confirmed);
		await changing(services, "acme", {}, async () => ok(null));
		expect(calls).toEqual(["announce", "forget acme all", "confirm change-1", "forget acme 8"]);
	});

	it("has forgotten the tenant when nobody confirms it, though it was asked for twice", async () => {
		const { calls, services } = watched(lost);
		await expect(changing(services, "acme", {}, async () => ok(null))).rejects.toThrow("lost");
		const confirm = "confirm change-1";
		expect(calls).toEqual(["announce", "forget acme all", confirm, confirm]);
	});

	it("forgets the tenant when nobody knows whether it was committed", async () => {
		const { calls, services } = watched(confirmed);
		await expect(changing(services, "acme", {}, lost)).rejects.toThrow("lost");
		expect(calls).toEqual(["announce", "forget acme all"]);
	});

	it("withdraws it when nothing was changed, and forgets nothing", async () => {
		const { calls, services } = watched(confirmed);
		const refused = await changing(services, "acme", {}, async () => err("refused"));
		expect(refused).toEqual(err("refused"));
		expect(calls).toEqual(["announce", "withdraw change-1"]);
	});
});

describe("a change that waits on its way to Postgres", () => {
	const write = {
		name: "test.write",
		text: "update keys set state = 'disabled' where tenant_id = $1 and id = $2 returning id",
		effect: "id",
	};
	const sent = (endsInMs: number) => {
		const db = closingAt(isolate().services.db, () => 0, Date.now() + endsInMs);
		return db.query<{ id: string }>(write, [tenant.id, key.id]);
	};

	it("is made when it comes in time", async () => {
		expect(await sent(60_000)).toEqual([{ id: key.id }]);
	});

	it("is not made when it comes too late, whatever its sender's clock said", async () => {
		await expect(sent(0)).rejects.toThrow(DatabaseUnavailable);
		expect((await tenant.call("GET", `/v1/keys/${key.id}`)).json.state).toBe("enabled");
	});

	it("is not made too late where it deletes keys either", async () => {
		const { id } = await newKey(tenant);
		await ownerSql().query(
			"update keys set state = 'pending_deletion', delete_at = now() where tenant_id = $1 and id = $2",
			[tenant.id, id],
		);
		const late = closingAt(isolate().services.db, () => 0, Date.now());
		const sources = { clock: Date.now, random: systemRandom };
		const ids = [uuidv7(sources.clock, sources.random)];
		const notes = { ids, note: ownNote(sources, tenant.id, "keys.purge") };
		await expect(purgeKeys(late, tenant.id, notes)).rejects.toThrow(DatabaseUnavailable);
		const left = "select 1 from keys where tenant_id = $1 and id = $2";
		expect(await ownerSql().query(left, [tenant.id, id])).toHaveLength(1);
	});
});

describe("a rotation", () => {
	async function stepsOf(id: string) {
		const { services } = isolate();
		const caller: Caller = {
			...{ tenant: tenant.id, tokenId: id, role: "admin" },
			...{ keyPatterns: null, rateLimit: null },
		};
		const steps: string[] = [];
		const { announce } = services.coordinator;
		const coordinator: Services["coordinator"] = {
			...services.coordinator,
			announce: (...change) => {
				steps.push("announce");
				return announce(...change);
			},
		};
		const generate = vi.spyOn(algorithms.Ed25519, "generate");
		generate.mockImplementation(async () => {
			steps.push("generate");
			generate.mockRestore();
			return algorithms.Ed25519.generate();
		});
		const result = await rotateKey({ ...services, coordinator }, caller, id);
		generate.mockRestore();
		return { steps, code: result.ok ? null : result.error.code };
	}

	it("has its key before it is announced", async () => {
		const { id } = await newKey(tenant);
		expect(await stepsOf(id)).toEqual({ steps: ["generate", "announce"], code: null });
	});

	it("that is refused makes none, and announces nothing", async () => {
		const { id } = await newKey(tenant);
		await tenant.call("DELETE", `/v1/keys/${id}`);
		expect(await stepsOf(id)).toEqual({ steps: [], code: "key_pending_deletion" });
	});
});

describe("an answer that took longer than its lease", () => {
	it("is given when the renewed lease has the same epoch, and not when it moved", async () => {
		const { services, pass } = isolate();
		const epoch = async () => {
			const term = await services.leases.term(tenant.id);
			return "epoch" in term ? term.epoch : -1;
		};
		const held = await epoch();
		pass(limits.leaseTtlMs);
		expect(await services.leases.stillHolds(tenant.id, held)).toBe(true);
		await tenant.call("POST", `/v1/keys/${key.id}/disable`);
		pass(limits.leaseTtlMs);
		expect(await services.leases.stillHolds(tenant.id, held)).toBe(false);
	});
});
