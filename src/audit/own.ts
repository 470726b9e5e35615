import type { OutboxNote } from "../db/audit-outbox.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { uuidv7 } from "../lib/uuid.ts";
import type { OwnAction } from "./actions.ts";
import { firstRecordId, timeOf } from "./record.ts";
import { regionOf } from "./region.ts";

/** The beginning of the record of a change that nobody has asked for over HTTP. */
export function ownNote(
	{ clock, random }: { readonly clock: Clock; readonly random: Random },
	tenant: string,
	action: OwnAction,
): OutboxNote {
	const id = firstRecordId(uuidv7(clock, random));
	return {
		id,
		at: timeOf({ id }),
		place: `${tenant}/${regionOf({})}/0`,
		requestId: uuidv7(clock, random),
		tokenId: null,
		action,
		address: "",
		cost: 0,
	};
}
