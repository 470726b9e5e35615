import * as limits from "../limits.ts";

/** When which tenant was dropped, counted and not timed: against values that were read before and come after. */
export class Drops {
	/** The number of each tenant's last drop, the latest last. */
	readonly #of = new Map<string, number>();
	#count = 0;
	/** Of the drops that are not remembered one by one any more, the latest. */
	#before = 0;

	get count(): number {
		return this.#count;
	}

	add(tenant: string): void {
		this.#of.delete(tenant);
		this.#of.set(tenant, ++this.#count);
		if (this.#of.size <= limits.cacheDropsRemembered) return;
		const [oldest] = this.#of;
		if (!oldest) return;
		this.#of.delete(oldest[0]);
		this.#before = oldest[1];
	}

	/** Whether the tenant was dropped after so many drops. In doubt it was. */
	since(tenant: string, count: number): boolean {
		return (this.#of.get(tenant) ?? this.#before) > count;
	}
}
