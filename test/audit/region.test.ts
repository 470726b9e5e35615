import { describe, expect, it } from "vitest";
import { placeOf, readPlace } from "../../src/audit/log.ts";
import { regionOf } from "../../src/audit/region.ts";

describe("the region of a request", () => {
	it.each([
		["SJC", "wnam"],
		["IAD", "enam"],
		["GRU", "sam"],
		["FRA", "weur"],
		["WAW", "eeur"],
		["BOM", "apac"],
		["NRT", "apac-ne"],
		["SIN", "apac-se"],
		["SYD", "oc"],
		["JNB", "afr"],
		["DXB", "me"],
	])("of the location %s is %s", (colo, region) => {
		expect(regionOf({ colo })).toBe(region);
	});

	it("is the continent's for a location that is not known, and always the same for none", () => {
		expect(regionOf({ colo: "XXX", continent: "EU" })).toBe("weur");
		expect(regionOf({ colo: "XXX" })).toBe(regionOf({}));
	});

	it("is a part of the object's name, which is read back", () => {
		const place = placeOf("acme-1", { colo: "FRA" }, 3);
		expect(place).toBe("acme-1/weur/3");
		expect(readPlace(place)).toEqual({ tenant: "acme-1", region: "weur", shard: 3 });
	});
});
