/** A place in a queue. Whatever stands in one owns its places, so that leaving costs no search. */
export interface Place<Item> {
	readonly item: Item;
	queue: Queue<Item> | null;
	newer: Place<Item> | null;
	older: Place<Item> | null;
}

export function placeFor<Item>(item: Item): Place<Item> {
	return { item, queue: null, newer: null, older: null };
}

/** A doubly linked list from the oldest to the newest. A place is in one queue at a time. */
export class Queue<Item> {
	#oldest: Place<Item> | null = null;
	#newest: Place<Item> | null = null;

	get oldest(): Place<Item> | null {
		return this.#oldest;
	}

	push(place: Place<Item>): void {
		place.queue = this;
		place.newer = null;
		place.older = this.#newest;
		if (this.#newest) this.#newest.newer = place;
		else this.#oldest = place;
		this.#newest = place;
	}

	remove(place: Place<Item>): void {
		if (place.queue !== this) return;
		if (place.newer) place.newer.older = place.older;
		else this.#newest = place.older;
		if (place.older) place.older.newer = place.newer;
		else this.#oldest = place.newer;
		place.queue = null;
		place.newer = null;
		place.older = null;
	}
}
