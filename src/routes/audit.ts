import { ChainBroken, leafOf } from "../audit/chain.ts";
import { checkpointOf } from "../audit/checkpoint.ts";
import type { ArchiveProof, ColdArchive } from "../audit/cold.ts";
import { statementsOfExpired } from "../audit/expired.ts";
import { writeExport } from "../audit/export.ts";
import { writeParquetExport } from "../audit/export-parquet.ts";
import { leadsToMark, pathToHead } from "../audit/path.ts";
import { canonicalRecord, timeOf } from "../audit/record.ts";
import { showRecord } from "../audit/shown.ts";
import { firstIdAt, type RecordFilter, type SourcedRecord } from "../audit/source.ts";
import { type Caller, refuseScoped } from "../auth/tokens.ts";
import { type Failure, fail } from "../errors.ts";
import { type Bytes, equalConstantTime, toBase64 } from "../lib/bytes.ts";
import { err, ok, type Result } from "../lib/result.ts";
import { sleep } from "../lib/sleep.ts";
import { isUuid, uuidv7 } from "../lib/uuid.ts";
import * as limits from "../limits.ts";
import { describeError } from "../observe/log.ts";
import * as answers from "../schemas/answers/audit.ts";
import * as schema from "../schemas/audit.ts";
import type { Services } from "../services.ts";
import { readmit } from "./admission.ts";
import { streamOf, whileWanted } from "./export-stream.ts";
import { badCursor, cursorOf, readCursor } from "./pages.ts";
import { answerPublic, documentOf, notModified } from "./published.ts";
import { type Docs, publicRoute, route } from "./route.ts";

const guarded = {
	tag: "Audit",
	permission: "audit:read",
	method: "get",
	isOfPast: true,
} as const;

export const listAudit = route(
	{
		...guarded,
		path: "/v1/audit",
		id: "listAudit",
		query: schema.listAuditQuery,
	},
	async ({ services, caller, query }) => {
		const refusal = refuseScoped(caller, whatScopedCanNot);
		if (refusal) return refusal;
		const filter = filterOf(caller.tenant, query);
		const listing = { of: "listAudit", tenant: caller.tenant, query };
		const before = readCursor(listing);
		if (!before.ok) return before;
		if (before.value !== null && !isUuid(before.value)) return badCursor();
		const limit = query.limit ?? limits.pageSizeDefault;
		const { records, reached } = await withCold(services, async (cold) => {
			const source = await services.auditReader.recordsOf(caller.tenant, cold);
			return source.read({ ...filter, before: before.value, limit });
		});
		const nextCursor = reached === null ? null : cursorOf(listing, reached);
		return ok({ json: { records: records.map(showRecord), nextCursor } });
	},
);

export const getAuditRecord = route(
	{
		...guarded,
		path: "/v1/audit/records/{record}",
		id: "getAuditRecord",
		operation: "read",
		params: schema.recordParams,
	},
	async ({ services, caller, params }) => {
		const find = (cold: ColdArchive) => findRecord(services, cold, caller, params.record);
		const found = await withCold(services, find);
		return found.ok ? ok({ json: showRecord(found.value) }) : found;
	},
);

export const getAuditRecordProof = route(
	{
		...guarded,
		path: "/v1/audit/records/{record}/proof",
		id: "getAuditRecordProof",
		operation: "read",
		params: schema.recordParams,
	},
	({ services, caller, params }) =>
		withCold(services, async (cold) => {
			const found = await findRecord(services, cold, caller, params.record);
			if (!found.ok) return found;
			const record = showRecord(found.value);
			const encoded = canonicalRecord(found.value.record);
			const hash = leafOf(encoded);
			const leaf = toBase64(hash);
			const { id, chain, sequence, link } = record;
			const proof = await cold.prove(caller.tenant, record.id);
			if (proof) requireSame(found.value, hash, proof);
			const { isChecked, path } = await provePath(services, cold, found.value);
			const at = new Date(services.clock()).toISOString();
			const statement = { tenant: caller.tenant, id, chain, sequence, link, leaf, at };
			// Who changed the record in Postgres, and its link with it, must not get a signature for that.
			const signed = isChecked
				? await services.auditSigner.sign("edgesign-audit-record+jwt", statement)
				: null;
			const canonical = [encoded.head, encoded.item].map(toBase64);
			const archived = proof && showArchived(proof);
			return ok({ json: { record, canonical, leaf, signed, path, archived } });
		}),
);

export const getAuditCheckpoint = route(
	{
		...guarded,
		path: "/v1/audit/checkpoint",
		id: "getAuditCheckpoint",
	},
	async ({ services, caller }) => {
		const refusal = refuseScoped(caller, whatScopedCanNot);
		if (refusal) return refusal;
		const heads = await services.auditReader.headsOf(caller.tenant);
		const checkpoint = checkpointOf(caller.tenant, heads, services.clock());
		const signed = await services.auditSigner.sign("edgesign-audit-checkpoint+jwt", checkpoint);
		return ok({ json: { checkpoint, signed } });
	},
);

const ndjson = "application/x-ndjson";
const parquet = "application/vnd.apache.parquet";

export const exportAudit = route(
	{
		...guarded,
		path: "/v1/audit/export",
		id: "exportAudit",
		query: schema.exportAuditQuery,
	},
	async ({ services, caller, query: { format, ...query }, raw }) => {
		const refusal = refuseScoped(caller, whatScopedCanNot);
		if (refusal) return refusal;
		const { auditReader, auditSigner: signer, clock, random, exports } = services;
		const { tenant } = caller;
		const checkpoint = checkpointOf(tenant, await auditReader.headsOf(tenant), clock());
		const cold = services.cold();
		const records = await auditReader.recordsOf(tenant, cold);
		const id = uuidv7(clock, random);
		const isParquet = (format ?? formatAccepted(raw)) === "parquet";
		const headers = {
			"Content-Type": isParquet ? parquet : ndjson,
			"Content-Disposition": `attachment; filename="audit-${tenant}-${id}.${isParquet ? "parquet" : "ndjson"}"`,
		};
		if (raw.method === "HEAD") return ok(new Response(null, { headers }));
		const slot = exports.enter(tenant);
		if (!slot) return tooManyExports();
		const gone = new AbortController();
		const source = whileWanted(records, gone.signal, slot);
		const filter = filterOf(tenant, query);
		const expired = () => statementsOfExpired(cold, signer, id, filter);
		const hasBegun = (chain: string) => auditReader.hasBegun(tenant, chain);
		const request = { id, filter, checkpoint, source, signer, hasBegun, expired };
		const pieces = isParquet ? writeParquetExport(request, cold) : writeExport(request);
		const body = streamOf(pieces, {
			...{ gone, slot, idleMs: exports.bounds.idleMs, end: () => cold.close() },
			refusal: () => stillRefused(services, raw),
			onFailure: (error) =>
				services.log({ event: "export_failed", export: id, error: describeError(error) }),
		});
		return ok(new Response(body, { headers }));
	},
);

/** Whether its token may not read any more. A coordinator that is away for a moment cuts off no export of hours. */
async function stillRefused(services: Services, raw: Request): Promise<Failure | null> {
	for (let tries = 1; ; tries++) {
		const again = await readmit(services, raw, () => null);
		if (again.ok) return null;
		const isAway = again.error.code === "unavailable";
		if (!isAway || tries >= limits.auditExportAdmissions) return again.error;
		await sleep(limits.leaseFailurePauseMs);
	}
}

function tooManyExports() {
	const all = limits.auditExportsAtOnce;
	const own = limits.auditExportsOfTenant;
	const detail = `${own} exports of this tenant are under way here, or ${all} of all: there is no memory for more.`;
	return err<Failure>({ code: "overloaded", detail, retryAfterMs: limits.auditExportRetryMs });
}

/** Parquet where it is named, and wanted more than NDJSON (RFC 9110 section 12.4.2); else NDJSON. */
function formatAccepted(request: Request): "ndjson" | "parquet" {
	const weights = new Map<string, number>();
	for (const type of (request.headers.get("accept") ?? "").toLowerCase().split(",")) {
		const [name = "", ...params] = type.split(";").map((part) => part.trim());
		const weight = params.find((param) => param.startsWith("q="))?.slice(2);
		weights.set(name, Number(weight ?? 1));
	}
	return (weights.get(parquet) ?? 0) > Math.max(0, weights.get(ndjson) ?? 0) ? "parquet" : "ndjson";
}

export const getAuditKeys = publicRoute(
	{
		method: "get",
		path: "/.well-known/audit-jwks.json",
		id: "getAuditKeys",
		addressCost: 1,
		tag: "Public",
	},
	async ({ services, raw }) => {
		const keys = await services.auditSigner.publicKeys();
		const document = documentOf(JSON.stringify({ keys }));
		const type = "application/jwk-set+json";
		return answerPublic(raw, document, type, limits.documentsMaxAgeSeconds);
	},
);

/** The log is of the whole tenant: a chain that leaves records out proves nothing. */
const whatScopedCanNot = "read the audit log";

interface FilterQuery {
	readonly key?: string | undefined;
	readonly token?: string | undefined;
	readonly action?: string | undefined;
	readonly from?: number | undefined;
	readonly to?: number | undefined;
}

function filterOf(tenant: string, query: FilterQuery): RecordFilter {
	const { key = null, token = null, action = null, from = null, to = null } = query;
	const isId = key !== null && isUuid(key);
	const target = { targetId: isId ? key : null, targetName: isId ? null : key };
	return { tenant, ...target, tokenId: token, action, from, to };
}

/** @throws ChainBroken where Postgres has another one of its id than the archive */
function requireSame(
	{ record, chain, sequence, link }: SourcedRecord,
	leaf: Bytes,
	kept: ArchiveProof,
) {
	const isSame =
		chain === kept.chain &&
		sequence === kept.sequence &&
		equalConstantTime(link, kept.link) &&
		equalConstantTime(leaf, kept.leaf);
	if (!isSame) throw new ChainBroken(`the archive has another record ${record.id}`);
}

function showArchived({ manifest, index, records, hashes }: ArchiveProof) {
	return { manifest, index, records, hashes: hashes.map(toBase64) };
}

/** A request asks the archive in one session, which ends with it. */
async function withCold<T>(services: Services, use: (cold: ColdArchive) => Promise<T>): Promise<T> {
	const cold = services.cold();
	try {
		return await use(cold);
	} finally {
		cold.close();
	}
}

/**
 * The way to a checkpoint of this moment, where it is short enough to be shown; and whether the record was checked
 * against something that is not in Postgres. @throws ChainBroken
 */
async function provePath(services: Services, cold: ColdArchive, found: SourcedRecord) {
	const { auditReader, auditSigner, clock } = services;
	const { tenant } = found.record;
	const heads = await auditReader.headsOf(tenant);
	const head = heads.heads.find(({ id }) => id === found.chain);
	if (!head && !heads.ended.includes(found.chain)) {
		throw new ChainBroken(`nobody but Postgres knows the chain ${found.chain}`);
	}
	const source = await auditReader.recordsOf(tenant, cold);
	const path = head && (await pathToHead(source, found, head));
	if (!path) return { isChecked: await checkPlace(), path: null };
	const checkpoint = checkpointOf(tenant, heads, clock());
	const shown = {
		previous: toBase64(path.previous),
		leaves: path.leaves.map(toBase64),
		checkpoint: await auditSigner.sign("edgesign-audit-checkpoint+jwt", checkpoint),
	};
	return { isChecked: true, path: shown };

	/**
	 * Who can write to Postgres can make all links anew that are there, and of them the archive is made; not what
	 * the object has.
	 */
	async function checkPlace(): Promise<boolean> {
		const mark = head && (await auditReader.markOf(head, found.sequence));
		if (!head || !mark) return false;
		// Of records that have moved no object needs to be asked.
		return leadsToMark(mark.isMoved ? auditReader.movedOf(cold) : source, found, mark, head);
	}
}

async function findRecord(
	{ auditReader }: Services,
	cold: ColdArchive,
	caller: Caller,
	id: string,
): Promise<Result<SourcedRecord, Failure>> {
	const refusal = refuseScoped(caller, whatScopedCanNot);
	if (refusal) return refusal;
	const at = timeOf({ id });
	const filter = {
		...filterOf(caller.tenant, { from: at, to: at + 1 }),
		limit: limits.pageSizeMax,
	};
	const source = await auditReader.recordsOf(caller.tenant, cold);
	for (let before: string | null = after(id); ; ) {
		const { records, reached } = await source.read({ ...filter, before });
		const found = records.find(({ record }) => record.id === id);
		if (found) return ok(found);
		if (reached === null || reached <= id) break;
		before = reached;
	}
	return fail("audit_record_not_found", `There is no record "${id}".`);
}

/** The least id after this one, as far as one digit goes: what is between them is looked through. */
function after(id: string): string {
	const last = Number.parseInt(id.slice(-8), 16) + 1;
	return last > 0xffff_ffff
		? firstIdAt(timeOf({ id }) + 1)
		: id.slice(0, -8) + last.toString(16).padStart(8, "0");
}

/** For the OpenAPI document alone: the worker calls it nowhere, and is bundled without it. */
export function auditDocs() {
	return {
		listAudit: {
			summary: "What was done, the newest first",
			description:
				"Every record once, wherever it is on its way. A page may have fewer records than `limit`, or none, and yet a `nextCursor`: each is a bounded piece of work, whatever the filter. Records that are older than the page and come in late are not shown by later pages that are past them.",
			answer: { description: "A page of records", schema: answers.recordPage },
			failures: ["invalid_cursor", "scoped_token_forbidden"],
			examples: [{ query: { action: "createKey", limit: "20" } }],
		},
		getAuditRecord: {
			summary: "One record",
			answer: { description: "The record", schema: answers.oneRecord },
			failures: ["audit_record_not_found", "scoped_token_forbidden"],
			examples: [{ params: { record: "01900000-0000-7000-8000-000000000002" } }],
		},
		getAuditRecordProof: {
			summary: "One record, proved",
			description:
				"The record's bytes and leaf, and a statement under the service's own key that it stands at its place of its chain, where it and those that follow lead to what is not in Postgres (the head of the chain, or a link that its object kept); else `signed` is null. Where the chain's head is no more than 1,000 records away, also the hashes that lead to a signed checkpoint; where it is archived, those that lead to the signed manifest of its day. All of it is verified offline.",
			answer: { description: "The record and the statement", schema: answers.proof },
			failures: ["audit_record_not_found", "scoped_token_forbidden", "audit_chain_broken"],
			examples: [{ params: { record: "01900000-0000-7000-8000-000000000002" } }],
		},
		getAuditCheckpoint: {
			summary: "Where every chain of the log ends now, signed",
			description:
				"Keep it elsewhere: an export that is made later must have every record up to it.",
			answer: { description: "The checkpoint", schema: answers.checkpoint },
			failures: ["scoped_token_forbidden"],
			examples: [{}],
		},
		exportAudit: {
			summary: "Records of any number as NDJSON or Parquet, to be verified offline",
			description:
				"The newest first. As NDJSON the first line has a signed checkpoint, the last one a signature over all of them; as Parquet these stand in the file's own metadata. `npm run audit:verify` reads both. Without a filter it is every record up to the checkpoint. An answer without its end was cut off. The form is that of `format`, else that of `Accept`, else NDJSON.",
			answer: {
				description: "A line or a row for each record",
				contentType: ndjson,
				otherContentTypes: [parquet],
			},
			failures: ["scoped_token_forbidden"],
			examples: [
				{ query: { action: "createKey" } },
				{ query: { action: "createKey", format: "parquet" } },
			],
		},
		getAuditKeys: {
			summary: "The public keys that verify what the audit log says of itself",
			description:
				"The service's own, the newest first (RFC 7517). Keep those that you have relied on.",
			answer: {
				description: "The JWK Set",
				schema: answers.auditKeys,
				contentType: "application/jwk-set+json",
			},
			otherAnswers: [notModified],
			failures: [],
			examples: [{}],
		},
	} as const satisfies Docs;
}
