import { RpcTarget, WorkerEntrypoint } from "cloudflare:workers";
import { inTime } from "./audit/archive-bucket.ts";
import { expiredPage } from "./audit/archive-expired.ts";
import { proveArchived } from "./audit/archive-proof.ts";
import { archiveSource } from "./audit/archive-source.ts";
import { type ColdLogRpc, type ColdSessionRpc, told } from "./audit/cold.ts";
import { exportColumns, parquetTail } from "./audit/export-columns.ts";
import type { ExportTexts, ParquetBody, ParquetRow } from "./audit/export-parquet.ts";
import { ParquetStream } from "./audit/parquet-stream.ts";
import { createAuditSigner } from "./audit/signer.ts";
import type { RecordFilter, RecordQuery } from "./audit/source.ts";
import { createDatabase } from "./db/client.ts";
import { observed } from "./db/statistics.ts";
import { type ArchiveEnv, readArchiveConfig } from "./env.ts";
import { archiveSchedule } from "./jobs/archive-schedule.ts";
import { runScheduled } from "./jobs/run.ts";
import { systemClock as clock } from "./lib/clock.ts";
import { type NeighbourRpc, restFor } from "./lib/neighbour.ts";
import { systemRandom as random } from "./lib/random.ts";
import * as limits from "./limits.ts";
import { createLog } from "./observe/log.ts";

function createServices(env: ArchiveEnv) {
	const config = readArchiveConfig(env);
	const log = createLog(config.logLevel);
	const neighbours = Object.entries(env).filter(([name]) => name.startsWith("NEIGHBOUR_"));
	return {
		config,
		db: observed(createDatabase(config), clock, log),
		archive: inTime(env.ARCHIVE),
		auditSigner: createAuditSigner(config.keyEncryptionKeys),
		// The bindings do not know their class.
		rest: restFor(
			neighbours.map(([, bound]) => bound as NeighbourRpc),
			limits.auditArchiveRestTimeoutMs,
		),
		clock,
		random,
		log,
	};
}

type Services = ReturnType<typeof createServices>;

let isolateServices: Services | undefined;

function servicesOf(env: ArchiveEnv): Services {
	isolateServices ??= createServices(env);
	return isolateServices;
}

/** What one request of the service asks of the archive, and the Parquet file that it may have made. */
class ColdSession extends RpcTarget implements ColdSessionRpc {
	readonly #services: Services;
	readonly #file = new ParquetStream(exportColumns);

	constructor(services: Services) {
		super();
		this.#services = services;
	}

	read(query: RecordQuery) {
		return told(() => archiveSource(this.#services).read(query));
	}

	prove(tenant: string, id: string) {
		return told(() => proveArchived(this.#services, { tenant, id }));
	}

	expired(filter: RecordFilter, before: string | null) {
		return told(() => expiredPage(this.#services, filter, before));
	}

	group(rows: readonly ParquetRow[]) {
		return told(() => this.#file.group(rows));
	}

	table() {
		return told(() => this.#file.table());
	}

	tail(texts: ExportTexts, body: ParquetBody) {
		return told(() => parquetTail(texts, body));
	}
}

/** It has no address: only a binding of the service's leads here. */
export class ColdLog extends WorkerEntrypoint<ArchiveEnv> implements ColdLogRpc {
	async open() {
		return new ColdSession(servicesOf(this.env));
	}
}

export default {
	fetch: () => new Response(null, { status: 404 }),
	scheduled: (controller, env) => runScheduled(archiveSchedule, servicesOf(env), controller.cron),
} satisfies ExportedHandler<ArchiveEnv>;
