import { expect, it } from "vitest";
import { createValueSeals } from "../../src/cache/seal.ts";
import { systemRandom } from "../../src/lib/random.ts";

const older = { id: "older", bytes: systemRandom(32) };
const newer = { id: "newer", bytes: systemRandom(32) };
const seals = createValueSeals([older], systemRandom);

it.each([
	["short", "{}"],
	["long", JSON.stringify({ text: "ä".repeat(5_000) })],
])("opens what it closed: %s", async (_, value) => {
	const sealed = await seals.close("acme", "name", value);
	expect(await seals.open("acme", "name", sealed)).toBe(value);
});

it("compresses what is long", async () => {
	const sealed = await seals.close("acme", "name", "a".repeat(10_000));
	expect(sealed.length).toBeLessThan(200);
});

it("opens under no other name, for no other tenant, and with no other key", async () => {
	const sealed = await seals.close("acme", "name", "value");
	expect(await seals.open("acme", "names", sealed)).toBeNull();
	expect(await seals.open("acmes", "name", sealed)).toBeNull();
	const stranger = createValueSeals([{ ...older, bytes: systemRandom(32) }], systemRandom);
	expect(await stranger.open("acme", "name", sealed)).toBeNull();
});

it("opens nothing of which one bit was changed, or that ends early", async () => {
	const sealed = await seals.close("acme", "name", "v".repeat(2_000));
	for (let at = 0; at < sealed.length; at++) {
		const changed = sealed.slice();
		changed[at] = (changed[at] ?? 0) ^ 1;
		expect(await seals.open("acme", "name", changed), `byte ${at}`).toBeNull();
		expect(await seals.open("acme", "name", sealed.slice(0, at)), `cut at ${at}`).toBeNull();
	}
});

it("opens with a key that is not the newest any more, and with none that is gone", async () => {
	const sealed = await seals.close("acme", "name", "value");
	const both = createValueSeals([newer, older], systemRandom);
	expect(await both.open("acme", "name", sealed)).toBe("value");
	const later = createValueSeals([newer], systemRandom);
	expect(await later.open("acme", "name", sealed)).toBeNull();
});

it("closes every value under an IV of its own, of twelve random bytes", async () => {
	const drawn: Uint8Array[] = [];
	const drawing = (count: number) => {
		const bytes = systemRandom(count);
		drawn.push(bytes.slice());
		return bytes;
	};
	const own = createValueSeals([older], drawing);
	const closed = [await own.close("acme", "name", "v"), await own.close("acme", "name", "v")];
	const ivAt = 2 + older.id.length;
	const ivs = closed.map((sealed) => sealed.slice(ivAt, ivAt + 12));
	expect(ivs).toEqual(drawn); // not one of them twice, or a guess of ours
	expect(ivs[0]).not.toEqual(ivs[1]);
});
