import { DurableObject } from "cloudflare:workers";
import { buildBlock, endOf, splitRecords } from "../src/audit/block.ts";
import { type ChainHead, type ChainMark, type ChainName, chainStart } from "../src/audit/chain.ts";
import { HeldLinks } from "../src/audit/held-links.ts";
import { type Appended, type AuditLogRpc, readPlace } from "../src/audit/log.ts";
import { moveBlocks } from "../src/audit/move.ts";
import { MovePace } from "../src/audit/pace.ts";
import { type EncodedRecord, idOfHead, timeOfHead } from "../src/audit/record.ts";
import type { RecordQuery, RecordSlice } from "../src/audit/source.ts";
import { createDatabase, type Database } from "../src/db/client.ts";
import { connectPool } from "../src/db/pooled.ts";
import { observed } from "../src/db/statistics.ts";
import { type Config, type Env, readEnvironment } from "../src/env.ts";
import { type Bytes, concat } from "../src/lib/bytes.ts";
import { systemClock } from "../src/lib/clock.ts";
import { systemRandom } from "../src/lib/random.ts";
import { uuidv7 } from "../src/lib/uuid.ts";
import * as limits from "../src/limits.ts";
import { createLog, describeError, type Log } from "../src/observe/log.ts";
import { createCoordinators } from "../src/ratelimit/coordinator.ts";
import { forgetMarks, keepMarks, markAt } from "./audit-log-marks.ts";
import { readObject } from "./audit-log-reads.ts";
import { type BlockRow, type ChainRow, createTables, toBlock } from "./audit-log-tables.ts";

/** A chain up to some place, and the bytes that it took. */
interface Extent extends ChainHead {
	readonly bytes: number;
}

/** Records that Postgres is about to have, up to some place. */
interface Moving {
	readonly end: Extent;
	readonly done: Promise<void>;
}

/** A call's appends, which wait to be written. */
interface Waiting {
	readonly appends: Bytes;
	/** What is in them. */
	readonly records: readonly EncodedRecord[];
	/** Of the first append. */
	readonly id: Bytes;
	readonly isRepeated: boolean;
	readonly tell: (answer: Appended) => void;
	readonly fail: (error: unknown) => void;
}

/**
 * A part of a tenant's audit log: records are durable here before what they are about is told, each
 * linked to the one before it, and move to Postgres in bulk. One object for a tenant, region and shard.
 */
export class AuditLog extends DurableObject<Env> implements AuditLogRpc {
	readonly #sql = this.ctx.storage.sql;
	readonly #config: Config;
	/** For moves now and then, and for many that follow each other: those are worth a connection. */
	readonly #db: { readonly few: Database; readonly many: Database };
	readonly #log: Log;
	readonly #chain: ChainName;
	/** The end of what is written, and of what Postgres has. */
	#written: Extent;
	#moved: Extent;
	#waiting: Waiting[] = [];
	#isWriting = false;
	/** Whether the tenant's coordinator knows of the chain. */
	#isRegistered: boolean;
	/** When the alarm rings; null for never. */
	#alarmAt: number | null = null;
	readonly #pace = new MovePace();
	readonly #links = new HeldLinks();
	/** Since the last report. */
	#writes = { count: 0, slowestMs: 0 };

	constructor(context: DurableObjectState, env: Env) {
		super(context, env);
		this.#config = readEnvironment(env);
		this.#log = createLog(this.#config.logLevel);
		const parts = { clock: systemClock, random: systemRandom, log: this.#log };
		const [few, many] = [createDatabase(this.#config), connectPool(this.#config, parts)];
		const counted = (db: Database) => observed(db, systemClock, this.#log);
		this.#db = { few: counted(few), many: counted(many) };
		createTables(this.#sql);
		const registered = "select 1 from registered where chain = ?";
		const row = this.#chainRow() ?? this.#beginChain();
		this.#chain = { ...readPlace(this.#place), id: row.id };
		this.#moved = {
			sequence: row.moved_sequence,
			link: new Uint8Array(row.moved_link),
			bytes: row.moved_bytes,
		};
		this.#written = this.#lastWritten() ?? this.#moved;
		this.#isRegistered = this.#sql.exec(registered, row.id).toArray().length > 0;
		context.blockConcurrencyWhile(async () => {
			const [at, now] = [await context.storage.getAlarm(), systemClock()];
			// One that was given up is not set any more, or was due long ago.
			if (at !== null && at > now - limits.auditAlarmLateMs) this.#alarmAt = at;
			else this.#ringAgain(now);
		});
	}

	append(appends: Bytes, isRepeated: boolean): Promise<Appended> {
		// Throws for what is no append, before it is among others.
		const records = splitRecords(appends);
		const [first] = records;
		if (!first) throw new RangeError("an append has a record");
		const id = idOfHead(first.head);
		const { promise, resolve: tell, reject: fail } = Promise.withResolvers<Appended>();
		this.#waiting.push({ appends, records, id, isRepeated, tell, fail });
		if (!this.#isWriting) void this.#writeAll();
		return promise;
	}

	async read(query: RecordQuery): Promise<RecordSlice> {
		return readObject(this.#sql, query, this.#chain.id, this.#moved);
	}

	async head(): Promise<ChainName & ChainHead> {
		const { sequence, link } = this.#written;
		return { ...this.#chain, sequence, link };
	}

	async mark(sequence: number): Promise<ChainMark | null> {
		return markAt(this.#sql, this.#chain.id, sequence);
	}

	/** Whoever reads must know whom to ask, from the first record on. */
	async #register(): Promise<void> {
		const { id, tenant } = this.#chain;
		await createCoordinators(this.env.COORDINATOR).chainBegan(tenant, this.#place, id);
		this.#sql.exec("insert or ignore into registered (chain) values (?)", id);
		this.#isRegistered = true;
	}

	/** Writes what waits, and then what came to wait meanwhile: the more there is, the more go together. */
	async #writeAll(): Promise<void> {
		this.#isWriting = true;
		try {
			if (!this.#isRegistered) await this.#register();
		} catch (error) {
			for (const { fail } of this.#waiting.splice(0)) fail(error);
		}
		while (this.#waiting.length > 0) {
			const together = this.#takeWaiting();
			try {
				const start = systemClock();
				const write = () => this.#write(together, start);
				// One statement is whole by itself, and a savepoint around it costs as much as it does.
				const isOne = !together.some(({ isRepeated }) => isRepeated);
				const answers = isOne ? write() : this.ctx.storage.transactionSync(write);
				await this.ctx.storage.sync();
				this.#writes.count++;
				this.#writes.slowestMs = Math.max(this.#writes.slowestMs, systemClock() - start);
				for (const [index, { tell }] of together.entries()) tell(answers[index] ?? "full");
			} catch (error) {
				for (const { fail } of [...together, ...this.#waiting]) fail(error);
				// What is in memory may be ahead of what is stored: the next one begins from storage.
				this.ctx.abort("the audit log could not be written");
			}
		}
		this.#isWriting = false;
	}

	#takeWaiting(): Waiting[] {
		let bytes = 0;
		let count = 0;
		for (const { appends } of this.#waiting) {
			bytes += appends.length;
			if (count > 0 && bytes > limits.auditBlockBytes) break;
			count++;
		}
		return this.#waiting.splice(0, count);
	}

	#write(together: readonly Waiting[], now: number): Appended[] {
		const taken: Waiting[] = [];
		let { sequence, bytes } = this.#written;
		const answers = together.map((one): Appended => {
			const { appends, id, isRepeated } = one;
			const { length: count } = one.records;
			if (isRepeated && this.#isKnown(id)) return "kept";
			if (sequence + count - this.#moved.sequence > limits.auditBacklogRecords) return "full";
			if (bytes + appends.length - this.#moved.bytes > limits.auditBacklogBytes) return "full";
			taken.push(one);
			sequence += count;
			bytes += appends.length;
			if (isRepeated) {
				this.#sql.exec(
					"insert into repeated (id, sequence, appended_at) values (?, ?, ?)",
					...[id, sequence, now],
				);
			}
			return "kept";
		});
		if (taken.length > 0) this.#writeBlock(taken, bytes, now);
		return answers;
	}

	#writeBlock(taken: readonly Waiting[], writtenBytes: number, now: number): void {
		const records = taken.flatMap((one) => one.records);
		const bytes = concat(...taken.map(({ appends }) => appends));
		const block = buildBlock(this.#written, bytes, records);
		const times = records.map(({ head }) => timeOfHead(head));
		this.#sql.exec(
			`insert into blocks (sequence, count, link, written_bytes, written_at, bytes, first_at, last_at)
			values (?, ?, ?, ?, ?, ?, ?, ?)`,
			...[block.sequence, block.count, block.link, writtenBytes, now, block.bytes],
			...[times.reduce((a, b) => Math.min(a, b)), times.reduce((a, b) => Math.max(a, b))],
		);
		this.#links.hold(block);
		const sequence = this.#written.sequence + block.count;
		this.#written = { sequence, link: block.link, bytes: writtenBytes };
		this.#ringAt(now + limits.auditMoveDelayMs);
	}

	#isKnown(id: Bytes): boolean {
		return this.#sql.exec("select 1 from repeated where id = ?", id).toArray().length > 0;
	}

	/** Moves records to Postgres, some at a time, and comes back for the rest. */
	override async alarm(): Promise<void> {
		this.#alarmAt = null;
		const start = systemClock();
		const { sequence: before } = this.#moved;
		try {
			await this.#moveAll();
			this.#pace.succeeded();
			this.#report(start, this.#moved.sequence - before, null);
		} catch (error) {
			this.#pace.failed(this.#moved.sequence > before);
			this.#report(start, this.#moved.sequence - before, error);
		}
		this.#forgetRepeated(systemClock());
		forgetMarks(this.#sql, this.#written, systemClock());
		this.#ringAgain(systemClock());
	}

	/**
	 * While Postgres takes some records the next ones are made ready, unless it failed of late. They are
	 * dropped here in their order, and only when Postgres has them.
	 */
	async #moveAll(): Promise<void> {
		let under: Moving | null = null;
		const waiting = this.#written.sequence - this.#moved.sequence;
		const db = waiting < 2 * limits.auditMoveRecords ? this.#db.few : this.#db.many;
		for (let move = 0; move < limits.auditMovesPerAlarm; move++) {
			const next = this.#beginMove(db, under?.end ?? this.#moved);
			if (under) await this.#endMove(under);
			if (!next) return;
			under = this.#pace.isPaired ? next : null;
			if (!under) await this.#endMove(next);
		}
		if (under) await this.#endMove(under);
	}

	/** The oldest records behind that place; null when there are none. */
	#beginMove(db: Database, from: Extent): Moving | null {
		const blocks = this.#blocksAfter(from.sequence);
		const last = blocks.at(-1);
		if (!last) return null;
		const linked = blocks.map((row) => ({ ...toBlock(row), links: this.#links.of(row.sequence) }));
		const done = moveBlocks(db, this.#chain, from, linked, this.#pace.records);
		done.catch(() => {}); // told when it is waited for, which may be never
		return { end: { ...endOf(toBlock(last)), bytes: last.written_bytes }, done };
	}

	async #endMove({ end, done }: Moving): Promise<void> {
		await done;
		this.ctx.storage.transactionSync(() => {
			keepMarks(this.#sql, end);
			this.#sql.exec("delete from blocks where sequence <= ?", end.sequence);
			this.#sql.exec(
				"update chain set moved_sequence = ?, moved_link = ?, moved_bytes = ?",
				...[end.sequence, end.link, end.bytes],
			);
		});
		this.#moved = end;
		this.#links.drop(end.sequence);
	}

	#blocksAfter(sequence: number): BlockRow[] {
		const blocks: BlockRow[] = [];
		let count = 0;
		const query = "select * from blocks where sequence > ? order by sequence";
		for (const row of this.#sql.exec<BlockRow>(query, sequence)) {
			blocks.push(row);
			count += row.count;
			if (count >= this.#pace.records) break;
		}
		return blocks;
	}

	/** What can not come again any more: too old for its request, and moved. */
	#forgetRepeated(now: number): void {
		const [until, moved] = [now - limits.auditRepeatedKeptMs, this.#moved.sequence];
		this.#sql.exec(
			`delete from repeated where id in (select id from repeated
				where appended_at <= ? and sequence <= ? order by appended_at limit ?)`,
			...[until, moved, limits.auditRepeatedDeletedPerAlarm],
		);
	}

	#ringAgain(now: number): void {
		const waiting = this.#written.sequence - this.#moved.sequence;
		if (waiting > 0) this.#ringAt(now + this.#pace.pauseMs(waiting));
		const query = "select min(appended_at) as at from repeated where sequence <= ?";
		const { at } = this.#sql.exec<{ at: number | null }>(query, this.#moved.sequence).one();
		if (at !== null) this.#ringAt(Math.max(now, at + limits.auditRepeatedKeptMs));
	}

	/** No later than that. */
	#ringAt(time: number): void {
		if (this.#alarmAt !== null && this.#alarmAt <= time) return;
		this.#alarmAt = time;
		this.ctx.storage.setAlarm(time);
	}

	#report(start: number, records: number, error: unknown): void {
		if (records === 0 && error === null) return;
		const now = systemClock();
		const query = "select written_at from blocks order by sequence limit 1";
		const [oldest] = this.#sql.exec<{ written_at: number }>(query).toArray();
		const figures = {
			place: this.#place,
			records,
			milliseconds: now - start,
			backlogRecords: this.#written.sequence - this.#moved.sequence,
			backlogBytes: this.#written.bytes - this.#moved.bytes,
			oldestMs: oldest ? now - oldest.written_at : 0,
			writes: this.#writes.count,
			slowestWriteMs: this.#writes.slowestMs,
		};
		this.#writes = { count: 0, slowestMs: 0 };
		const isLate = figures.oldestMs > limits.auditBacklogLateMs;
		if (error === null) this.#log({ event: isLate ? "audit_backlog" : "audit_moved", ...figures });
		else this.#log({ event: "audit_move_failed", ...figures, error: describeError(error) });
	}

	#chainRow(): ChainRow | undefined {
		return this.#sql.exec<ChainRow>("select * from chain").toArray()[0];
	}

	#beginChain(): ChainRow {
		const id = uuidv7(systemClock, systemRandom);
		const { link } = chainStart({ ...readPlace(this.#place), id });
		this.#sql.exec(
			"insert into chain (id, moved_sequence, moved_link, moved_bytes) values (?, 0, ?, 0)",
			...[id, link],
		);
		return { id, moved_sequence: 0, moved_link: link.buffer, moved_bytes: 0 };
	}

	#lastWritten(): Extent | null {
		const [row] = this.#sql.exec<BlockRow>("select * from blocks order by sequence desc limit 1");
		if (!row) return null;
		const sequence = row.sequence + row.count - 1;
		return { sequence, link: new Uint8Array(row.link), bytes: row.written_bytes };
	}

	get #place(): string {
		const { name } = this.ctx.id;
		if (!name) throw new Error("an object of the audit log has a name");
		return name;
	}
}
