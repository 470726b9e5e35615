import { AuditLog as DeployedAuditLog } from "../../../durable-objects/audit-log.ts";
import { joinAppends } from "../../../src/audit/block.ts";
import { encodeAppend, firstRecordId, type RecordHead, timeOf } from "../../../src/audit/record.ts";
import type { Env } from "../../../src/env.ts";
import { systemClock } from "../../../src/lib/clock.ts";
import { systemRandom } from "../../../src/lib/random.ts";
import { uuidv7 } from "../../../src/lib/uuid.ts";
import type { Filled } from "./messages.ts";

export * from "../../../src/index.ts";

const tenant = "bench-audit";
/** Single signatures, as many in a call as go together under load. */
const appendsPerCall = 32;

/** The object as it is deployed, but that it moves nothing until it is told to. */
export class AuditLog extends DeployedAuditLog {
	#held = Promise.withResolvers<void>();

	override async alarm(): Promise<void> {
		await this.#held.promise;
		await super.alarm();
	}

	/** Appends so many records. */
	async fill(records: number): Promise<Filled> {
		this.#held = Promise.withResolvers();
		const before = this.ctx.storage.sql.databaseSize;
		let id = "";
		for (let done = 0; done < records; done += appendsPerCall) {
			const appends = Array.from({ length: appendsPerCall }, () => {
				id = newId();
				return newAppend(id);
			});
			await this.append(joinAppends(appends), false);
		}
		const last = { id, at: timeOf({ id }) };
		return { tenant, last, objectBytes: this.ctx.storage.sql.databaseSize - before };
	}

	async release(): Promise<void> {
		this.#held.resolve();
	}
}

function newId(): string {
	return firstRecordId(uuidv7(systemClock, systemRandom));
}

const [tokenId, keyId] = [
	"019a0000-0000-7000-8000-000000000001",
	"019a0000-0000-7000-8000-000000000002",
];
const digest = new Uint8Array(32).fill(7);

function newAppend(id: string) {
	const requestId = newId();
	const target = { id: keyId, name: "bench-audit", version: 1, algorithm: "Ed25519" };
	const head = { id, requestId, tenant, tokenId, action: "sign", target, address: "198.18.0.1" };
	const item = { number: 0, inputKind: "message", cost: 100, outcome: "ok" } as const;
	return encodeAppend(head satisfies RecordHead, [
		{ ...item, input: digest, signature: systemRandom(32) },
	]);
}

/** `POST /fill?records=N&shard=S`: so many records into one object. `POST /release?shard=S` lets it move them. */
export default {
	async fetch(request, env) {
		const { pathname, searchParams } = new URL(request.url);
		const place = `${tenant}/enam/${Number(searchParams.get("shard"))}`;
		const object = env.AUDIT_LOG.getByName(place) as unknown as AuditLog;
		if (pathname === "/release") {
			await object.release();
			return Response.json(null);
		}
		return Response.json(await object.fill(Number(searchParams.get("records"))));
	},
} satisfies ExportedHandler<Env>;
