import type { ExportSlot } from "../audit/export-slots.ts";
import type { RecordSource } from "../audit/source.ts";
import type { Failure } from "../errors.ts";
import { utf8 } from "../lib/bytes.ts";
import * as limits from "../limits.ts";

/** A receiver that is gone is found between two reads: one piece of an export may take all there are. */
export function whileWanted(
	source: RecordSource,
	gone: AbortSignal,
	slot: ExportSlot,
): RecordSource {
	return {
		async read(query) {
			gone.throwIfAborted();
			slot.keep();
			return source.read(query);
		},
	};
}

interface Ending {
	/** Aborted when its receiver wants no more. */
	readonly gone: AbortController;
	readonly slot: ExportSlot;
	/** How long a receiver may leave a piece where it is. */
	readonly idleMs: number;
	/** Why the receiver may not have it any more, or null: asked before each part that is sent, for that may be hours. */
	refusal(): Promise<Failure | null>;
	/** Called once, whatever the end is. */
	end(): void;
	onFailure(error: unknown): void;
}

/**
 * Reads on only when what was read is sent: however slow the receiver, no more is held than one piece, and
 * that not for ever. What fails in the middle cuts the answer off, and nobody else is told.
 */
export function streamOf(
	pieces: AsyncGenerator<string | Uint8Array<ArrayBuffer>>,
	{ gone, slot, idleMs, refusal, end, onFailure }: Ending,
): ReadableStream<Uint8Array> {
	let forgetIdle = () => {};
	let isOver = false;
	/** What was read, and is not sent. */
	let rest = new Uint8Array();
	const stop = () => {
		forgetIdle();
		slot.leave();
		rest = new Uint8Array();
		if (!isOver) end();
		isOver = true;
	};
	const fail = (error: unknown) => {
		stop();
		if (!gone.signal.aborted) onFailure(error);
	};
	const source: UnderlyingSource<Uint8Array> = {
		async pull(controller) {
			forgetIdle();
			slot.keep();
			try {
				while (rest.length === 0) {
					const { done, value } = await pieces.next();
					if (done) {
						stop();
						return controller.close();
					}
					rest = typeof value === "string" ? utf8(value) : value;
				}
				const refused = await refusal();
				if (refused) throw new Error(`${refused.code}: ${refused.detail}`);
				// A copy: a receiver who stops reading holds it, and not the piece that it is of.
				controller.enqueue(rest.slice(0, limits.auditExportSliceBytes));
				rest = rest.subarray(limits.auditExportSliceBytes);
			} catch (error) {
				fail(error);
				pieces.return(undefined).catch(() => {});
				throw error;
			}
			const timer = setTimeout(() => {
				const error = new Error(`its receiver took nothing for ${idleMs} ms`);
				fail(error);
				controller.error(error);
				pieces.return(undefined).catch(() => {}); // between two pieces nothing can fail
			}, idleMs);
			forgetIdle = () => clearTimeout(timer);
		},
		async cancel() {
			gone.abort();
			forgetIdle();
			slot.leave();
			try {
				await pieces.return(undefined); // behind the piece that is being made, if there is one
			} finally {
				stop();
			}
		},
	};
	return new ReadableStream(source, { highWaterMark: 0 }); // nothing is read before it is sent
}
