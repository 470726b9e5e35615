import type { OutboxNote } from "../db/audit-outbox.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import { uuidv7 } from "../lib/uuid.ts";
import { firstRecordId, timeOf } from "./record.ts";
import { regionOf } from "./region.ts";

/**
 * What is done without a caller: by the service itself, or by its operator at the database. There is no
 * operationId to go by; a dot tells these from those.
 */
type OwnAction =
	| "audit.expire"
	| "keys.purge"
	| "operator.createTenant"
	| "operator.createToken"
	| "operator.rewrap";

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
