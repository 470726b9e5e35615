import type { Place } from "./queue.ts";

/** What a policy knows of an entry. */
export interface Evictable<Self> {
	/** Of its name (hash.ts). */
	readonly hash: number;
	readonly bytes: number;
	readonly place: Place<Self>;
	/** As far as the policy counts them; it is the policy's alone. */
	reads: number;
}

/** Which entry goes when there is no room. It knows nothing of names, times or bounds. */
export interface Eviction<Entry extends Evictable<Entry>> {
	add(entry: Entry): void;
	/** The entry was read: on every hit, so it has to cost next to nothing. */
	touch(entry: Entry): void;
	/** The entry goes for another reason. */
	remove(entry: Entry): void;
	/** Takes out the entry that is to go; undefined when there is none. */
	evict(): Entry | undefined;
}
