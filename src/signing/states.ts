import type { ErrorCode } from "../errors.ts";
import type { KeyState } from "../model.ts";

/** What a caller may ask of a key, besides reading it. */
export type Move = "enable" | "disable" | "delete" | "restore" | "rotate" | "update" | "use";

/**
 * The life of a key: for each move, the state it leads to from each state, or the code that refuses it.
 * A restored key is disabled: whoever scheduled the deletion may have had a reason, so use begins again by hand.
 */
export const lifecycle: Record<Move, Record<KeyState, { to: KeyState } | { refuse: ErrorCode }>> = {
	enable: {
		enabled: { to: "enabled" },
		disabled: { to: "enabled" },
		pending_deletion: { refuse: "key_pending_deletion" },
	},
	disable: {
		enabled: { to: "disabled" },
		disabled: { to: "disabled" },
		pending_deletion: { refuse: "key_pending_deletion" },
	},
	delete: {
		enabled: { to: "pending_deletion" },
		disabled: { to: "pending_deletion" },
		pending_deletion: { refuse: "key_pending_deletion" },
	},
	restore: {
		enabled: { refuse: "key_not_pending_deletion" },
		disabled: { refuse: "key_not_pending_deletion" },
		pending_deletion: { to: "disabled" },
	},
	// Also while it is disabled: a stolen key gets its successor before it is in use again.
	rotate: {
		enabled: { to: "enabled" },
		disabled: { to: "disabled" },
		pending_deletion: { refuse: "key_pending_deletion" },
	},
	update: {
		enabled: { to: "enabled" },
		disabled: { to: "disabled" },
		pending_deletion: { refuse: "key_pending_deletion" },
	},
	use: {
		enabled: { to: "enabled" },
		disabled: { refuse: "key_disabled" },
		pending_deletion: { refuse: "key_pending_deletion" },
	},
};
