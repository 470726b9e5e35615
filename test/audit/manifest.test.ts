import { describe, expect, it } from "vitest";
import { extendChains } from "../../src/audit/manifest.ts";
import type { SourcedRecord } from "../../src/audit/source.ts";
import * as limits from "../../src/limits.ts";

const [a, b] = ["019aa000-0000-7000-8000-000000000001", "019aa000-0000-7000-8000-000000000002"];

/** As much of records as chains are made of. */
function recordsAt(chain: string, ...numbers: readonly number[]): SourcedRecord[] {
	const link = new Uint8Array(32);
	return numbers.map((sequence) => ({ chain, sequence, link }) as SourcedRecord);
}

function numbersOf(spans: ReturnType<typeof extendChains>) {
	return spans.map(({ numbers }) => numbers);
}

/** As they come back from Postgres between two runs. */
function kept(spans: ReturnType<typeof extendChains>): ReturnType<typeof extendChains> {
	return JSON.parse(JSON.stringify(spans));
}

describe("the numbers of a day's chains", () => {
	it("are told in as few stretches as they are, over all files, in whatever order they come", () => {
		const first = extendChains([], [...recordsAt(a, 4, 5, 7, 6, 9), ...recordsAt(b, 1)]);
		expect(numbersOf(first)).toEqual([
			[
				[4, 7],
				[9, 9],
			],
			[[1, 1]],
		]);
		const second = extendChains(kept(first), recordsAt(a, 12, 8, 11, 2));
		expect(second[0]).toMatchObject({
			...{ records: 9, first: { sequence: 2 }, last: { sequence: 12 } },
			numbers: [
				[2, 2],
				[4, 9],
				[11, 12],
			],
		});
		expect(second[1]).toEqual(first[1]);
	});

	it("are not told where files were written of which nobody noted them", () => {
		const [before] = extendChains([], recordsAt(a, 1, 2));
		const { numbers: _, ...old } = kept(before ? [before] : [])[0] as NonNullable<typeof before>;
		const spans = extendChains([old], [...recordsAt(a, 3), ...recordsAt(b, 5)]);
		expect(numbersOf(spans)).toEqual([null, [[5, 5]]]);
		expect(spans[0]).toMatchObject({ records: 3, last: { sequence: 3 } });
		expect(numbersOf(extendChains(kept(spans), recordsAt(a, 4)))).toEqual([null, [[5, 5]]]);
	});

	it("are not told of a chain in which they are too many stretches, and never again", () => {
		const most = limits.auditStretchesOfChain;
		const apart = Array.from({ length: most }, (_, at) => at * 2 + 1);
		const full = extendChains([], recordsAt(a, ...apart));
		expect(full[0]?.numbers).toHaveLength(most);
		const over = extendChains(kept(full), [...recordsAt(a, most * 2 + 1), ...recordsAt(b, 1)]);
		expect(numbersOf(over)).toEqual([null, [[1, 1]]]);
		const between = apart.map((number) => number + 1);
		expect(extendChains(kept(over), recordsAt(a, ...between))[0]?.numbers).toBeNull();
	});

	it("are bounded together, those that are one stretch told of however many chains", () => {
		const count = limits.auditStretchesOfDay / 2 + 1;
		const spans = extendChains(
			[],
			Array.from({ length: count }, (_, at) => recordsAt(`${a}-${at}`, 1, at === 0 ? 3 : 2)).flat(),
		);
		const told = numbersOf(spans);
		expect(told.filter((numbers) => numbers === null)).toHaveLength(1);
		expect(told.filter((numbers) => numbers?.length === 1)).toHaveLength(count - 1);
	});
});
