import { expect, it } from "vitest";
import { atOnce, inOrder } from "../../src/audit/merge.ts";
import { type RecordSource, type SourcedRecord, unfiltered } from "../../src/audit/source.ts";

/** A source that has these ids, of one digit, and looks at so many for one answer. */
function looking(ids: readonly number[], atMost: number): RecordSource {
	return {
		async read({ before }) {
			const until = Number(before ?? 10);
			const reached = until - atMost;
			const found = ids.filter((id) => id < until && id >= reached);
			const records = found.map((id) => ({ record: { id: `${id}` } }) as SourcedRecord);
			return { records, reached: reached > 1 ? `${reached}` : null };
		},
	};
}

const query = { ...unfiltered, tenant: "acme", limit: 50 };
const all = [9, 8, 7, 6, 5, 4, 3, 2, 1];

it.each([
	["in order", inOrder],
	["at once", (sources: readonly RecordSource[]) => atOnce(sources, 2)],
])("sources that are read %s go no further than the one that got least far", async (_, join) => {
	const source = join([looking([9, 5, 2], 2), looking(all, 9)]);
	const pages: string[][] = [];
	for (let before: string | null = null; ; ) {
		const { records, reached } = await source.read({ ...query, before });
		pages.push(records.map(({ record }) => record.id));
		if (reached === null) break;
		before = reached;
	}
	expect(pages).toEqual([["9", "8"], ["7", "6"], ["5", "4"], ["3", "2"], ["1"]]);
});
