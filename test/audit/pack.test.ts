import { describe, expect, it } from "vitest";
import { buildBlock, joinAppends, readBlock } from "../../src/audit/block.ts";
import { chainStart } from "../../src/audit/chain.ts";
import { packRecords } from "../../src/audit/pack.ts";
import {
	decodeRecord,
	encodeAppend,
	firstRecordId,
	type RecordHead,
	timeOf,
} from "../../src/audit/record.ts";
import { packedEventBytes } from "../../src/db/audit-events.ts";
import { systemClock } from "../../src/lib/clock.ts";
import { systemRandom } from "../../src/lib/random.ts";
import { uuidText, uuidv7 } from "../../src/lib/uuid.ts";

const newId = () => firstRecordId(uuidv7(systemClock, systemRandom));
const tokenId = newId();

function headOf(address: string, name = "k"): RecordHead {
	const target = { id: null, name, version: 1, algorithm: "Ed25519" };
	const ids = { id: newId(), requestId: newId(), tokenId };
	return { ...ids, tenant: "acme", action: "sign", target, address };
}

const signed = (number: number) => ({
	...{ number, cost: 100, outcome: "ok", inputKind: "message" as const },
	...{ input: systemRandom(32), signature: systemRandom(32) },
});
const refused = {
	...{ number: 0, cost: 1, outcome: "key_disabled" },
	...{ inputKind: null, input: null, signature: null },
};

const start = chainStart({ id: newId(), tenant: "acme", region: "enam", shard: 0 });
const records = readBlock(
	start,
	buildBlock(
		start,
		joinAppends([
			encodeAppend(headOf("a"), [signed(0), signed(1), signed(0xabc)]),
			encodeAppend(headOf("b"), [signed(0)]),
			encodeAppend(headOf("a"), [signed(0), refused]),
			encodeAppend(headOf("a", "k\n"), [signed(0)]),
		]),
	),
);

/** What Postgres reads out of the pack for a record. */
function unpacked(index: number) {
	const { bytes, kinds, kindOf, times, firstSequence } = packRecords(records);
	const from = packedEventBytes * index;
	const part = (at: number, length: number) => bytes.slice(from + at, from + at + length);
	const digest = (at: number) => (part(at, 32).some((byte) => byte !== 0) ? part(at, 32) : null);
	const { targetId, targetName, version, algorithm, ...kind } = { ...kinds[kindOf[index] ?? -1] };
	return {
		...{ ...kind, target: { id: targetId, name: targetName, version, algorithm } },
		...{ id: uuidText(part(0, 16)), requestId: uuidText(part(16, 16)), at: times[index] },
		...{ input: digest(32), signature: digest(64), link: part(96, 32) },
		sequence: firstSequence + index,
	};
}

describe("packed records", () => {
	it("say each what the record says", () => {
		for (const [index, record] of records.entries()) {
			const { tenant: _, number: _number, ...rest } = decodeRecord(record);
			const { link, sequence } = record;
			expect(unpacked(index)).toEqual({ ...rest, at: timeOf(rest), link, sequence });
		}
	});

	it("tell once what is the same in many, whether or not they follow each other", () => {
		const { kinds, kindOf } = packRecords(records);
		expect(kindOf).toEqual([0, 0, 0, 1, 0, 2, 3]);
		expect(kinds.length).toBe(4);
	});
});
