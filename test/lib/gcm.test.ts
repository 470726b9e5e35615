import { describe, expect, it } from "vitest";
import { fromHex, toHex, utf8 } from "../../src/lib/bytes.ts";
import {
	deriveKey,
	importBase,
	importKey,
	readHead,
	seal,
	unseal,
	writeHead,
} from "../../src/lib/gcm.ts";

const key = fromHex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
const iv = fromHex("cafebabefacedbaddecaf888");
const plain = fromHex(
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
);
const additional = fromHex("feedfacedeadbeeffeedfacedeadbeefabaddad2");

describe("seal", () => {
	it("is AES-256-GCM (McGrew and Viega, test case 16)", async () => {
		const sealed = await seal(await importKey(key), plain, additional, () => iv);
		expect(toHex(sealed.subarray(12))).toBe(
			"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
		);
		expect(sealed.subarray(0, 12)).toEqual(iv);
	});
});

describe("unseal", () => {
	it("opens what was sealed, and nothing that is one bit off or cut off", async () => {
		const own = await importKey(key);
		const sealed = await seal(own, plain, additional, () => iv);
		expect(await unseal(own, sealed, additional)).toEqual(plain);
		for (let at = 0; at < sealed.length; at++) {
			const changed = sealed.slice();
			changed[at] = (changed[at] ?? 0) ^ 1;
			expect(await unseal(own, changed, additional)).toBeNull();
			expect(await unseal(own, sealed.subarray(0, at), additional)).toBeNull();
		}
		expect(await unseal(own, sealed, utf8("another place"))).toBeNull();
	});

	it("opens nothing of another derived key", async () => {
		const base = await importBase(key);
		const [one, other] = [await deriveKey(base, utf8("one")), await deriveKey(base, utf8("other"))];
		const sealed = await seal(one, plain, additional, () => iv);
		expect(await unseal(one, sealed, additional)).toEqual(plain);
		expect(await unseal(other, sealed, additional)).toBeNull();
	});
});

describe("readHead", () => {
	it("reads what was written, and takes anything", () => {
		const head = writeHead(3, "2026-11");
		const bytes = Uint8Array.of(...head, 7, 8);
		expect(readHead(bytes)).toEqual({
			head,
			form: 3,
			keyId: "2026-11",
			sealed: Uint8Array.of(7, 8),
		});
		expect(readHead(new Uint8Array())).toMatchObject({ form: undefined, keyId: "" });
		expect(readHead(Uint8Array.of(1, 200, 65))).toMatchObject({ form: 1, keyId: "A" });
	});
});
