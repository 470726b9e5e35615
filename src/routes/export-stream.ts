import type { ExportSlot } from "../audit/export-slots.ts";
import type { RecordSource } from "../audit/source.ts";
import { utf8 } from "../lib/bytes.ts";

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
	/** Called once, whatever the end is. */
	end(): void;
	onFailure(error: unknown): void;
}

/**
 * Reads on only when what was read is sent: however slow the receiver, no more is held than one piece, and
 * that not for ever. What fails in the middle cuts the answer off, and nobody else is told.
 */
export function streamOf(
	pieces: AsyncGenerator<string | Uint8Array>,
	{ gone, slot, idleMs, end, onFailure }: Ending,
): ReadableStream<Uint8Array> {
	let forgetIdle = () => {};
	let isOver = false;
	const stop = () => {
		forgetIdle();
		slot.leave();
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
				const { done, value } = await pieces.next();
				if (done) {
					stop();
					return controller.close();
				}
				controller.enqueue(typeof value === "string" ? utf8(value) : value);
			} catch (error) {
				fail(error);
				throw error;
			}
			const timer = setTimeout(() => {
				const error = new Error(`its receiver took nothing for ${idleMs} ms`);
				fail(error);
				controller.error(error);
				pieces.return(undefined).catch(() => {}); // it is between two pieces: nothing can fail any more
			}, idleMs);
			forgetIdle = () => clearTimeout(timer);
		},
		async cancel() {
			gone.abort();
			stop();
			await pieces.return(undefined);
		},
	};
	return new ReadableStream(source, { highWaterMark: 0 }); // nothing is read before it is sent
}
