import { beforeAll, describe, expect, it } from "vitest";
import { fromBase64Url } from "../../src/lib/bytes.ts";
import * as limits from "../../src/limits.ts";
import { algorithmNames } from "../../src/model.ts";
import { expectProblem } from "../support/answers.ts";
import { hello, type Key, newKey, signed, verified } from "../support/keys.ts";
import { newMaterial, rsaOf2056Bits } from "../support/material.ts";
import { newTenant, ownerSql, type Tenant } from "../support/tenant.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

async function rotated(key: Key, times = 1): Promise<Key> {
	let answer = await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
	for (let i = 1; i < times; i++) answer = await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
	expect(answer.status, answer.text).toBe(200);
	return answer.json;
}

describe("POST /v1/keys/{key}/rotate", () => {
	it.each(algorithmNames)(
		"makes a new version of %s, which signs from now on",
		async (algorithm) => {
			const key = await newKey(tenant, algorithm);
			const first = await signed(tenant, key.id);
			const after = await rotated(key);
			expect(after).toMatchObject({ id: key.id, algorithm, version: 2, state: "enabled" });
			if (algorithm !== "HS256") expect(after.publicKey).not.toEqual(key.publicKey);
			const second = await signed(tenant, key.id);
			expect([first.version, second.version]).toEqual([1, 2]);
			const check = (signature: string, version?: number) =>
				verified(tenant, key.id, { message: hello, signature, version });
			expect(await check(first.signature)).toEqual({ valid: true, version: 1 });
			expect(await check(second.signature)).toEqual({ valid: true, version: 2 });
			expect(await check(first.signature, 1)).toEqual({ valid: true, version: 1 });
			expect(await check(first.signature, 2)).toEqual({ valid: false });
			expect(await check(second.signature, 1)).toEqual({ valid: false });
		},
	);

	it("keeps the size of an RSA key, also of one that the service would not make", async () => {
		const { privateJwk } = await newMaterial("RS256", 2560);
		const json = { name: "odd-size", algorithm: "RS256", key: privateJwk };
		const imported = await tenant.call("POST", "/v1/keys/import", { json });
		expect(imported.status, imported.text).toBe(201);
		for (const key of [imported.json, await newKey(tenant, "PS256", { modulusLength: 3072 })]) {
			const after = await rotated(key);
			const bytes = (of: Key) => fromBase64Url(of.publicKey.jwk.n)?.length;
			expect(bytes(after)).toBe(bytes(key));
		}
	}, 60_000);

	it("makes a larger one after an RSA key of a size that can not be made", async () => {
		const json = { name: "imported-2056", algorithm: "RS256", key: rsaOf2056Bits };
		const imported = await tenant.call("POST", "/v1/keys/import", { json });
		expect(imported.status, imported.text).toBe(201);
		const after = await rotated(imported.json);
		expect(fromBase64Url(after.publicKey.jwk.n)?.length).toBe(3072 / 8);
		expect((await signed(tenant, after.id)).version).toBe(2);
	}, 60_000);

	it("answers whoever changes the key meanwhile with the public half of the version it names", async () => {
		const key = await newKey(tenant);
		const path = `/v1/keys/${key.id}`;
		const answers: Key[] = [];
		for (let round = 0; round < 10; round++) {
			const changes = await Promise.all([
				tenant.call("POST", `${path}/rotate`),
				tenant.call("PATCH", path, { json: { tags: { round: String(round) } } }),
				tenant.call("POST", `${path}/enable`),
			]);
			answers.push(...changes.filter(({ status }) => status === 200).map(({ json }) => json));
		}
		expect(answers.some(({ version }) => version > 1)).toBe(true);
		for (const { version, publicKey } of answers) {
			const current = await tenant.call("GET", `${path}/public?version=${version}`);
			expect(publicKey.jwk).toEqual(current.json);
		}
	});

	it("signs with an older version when it is named", async () => {
		const key = await newKey(tenant);
		await rotated(key);
		const answer = await signed(tenant, key.id, { message: hello, version: 1 });
		expect(answer.version).toBe(1);
		const { signature } = answer;
		const valid = await verified(tenant, key.id, { message: hello, signature });
		expect(valid).toEqual({ valid: true, version: 1 });
	});

	it("refuses a version beyond the last one a key may have", async () => {
		const key = await newKey(tenant);
		await ownerSql().query(
			"update keys set current_version = $3 where tenant_id = $1 and id = $2",
			[tenant.id, key.id, limits.keyVersions],
		);
		await ownerSql().query(
			"update key_versions set version = $3 where tenant_id = $1 and key_id = $2",
			[tenant.id, key.id, limits.keyVersions],
		);
		const answer = await tenant.call("POST", `/v1/keys/${key.id}/rotate`);
		expectProblem(answer, 409, "too_many_versions", { says: ["1000"] });
	});

	it("refuses a key without its private half", async () => {
		const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
		const json = { name: "partner", algorithm: "Ed25519", key: jwk };
		await tenant.call("POST", "/v1/keys/import", { json });
		const answer = await tenant.call("POST", "/v1/keys/partner/rotate");
		expectProblem(answer, 409, "key_public_only", { says: ['"partner"'] });
	});
});

describe("a minimum version", () => {
	let key: Key;
	let old: string;
	beforeAll(async () => {
		key = await newKey(tenant);
		old = (await signed(tenant, key.id)).signature;
		await rotated(key, 2);
	});
	const raise = (json: object) => tenant.call("PATCH", `/v1/keys/${key.id}`, { json });
	const sign = (version: number) =>
		tenant.call("POST", `/v1/keys/${key.id}/sign`, { json: { message: hello, version } });
	const verify = (version?: number) =>
		tenant.call("POST", `/v1/keys/${key.id}/verify`, {
			json: { message: hello, signature: old, version },
		});

	it("for signing refuses older versions there, and they verify on", async () => {
		await raise({ minSignVersion: 3, minVerifyVersion: 1 });
		expectProblem(await sign(1), 409, "version_below_minimum", { says: ["1", "3"] });
		expectProblem(await sign(2), 409, "version_below_minimum", { says: ["2", "3"] });
		expect((await sign(3)).status).toBe(200);
		expect((await verify(1)).json).toEqual({ valid: true, version: 1 });
		expect((await verify()).json).toEqual({ valid: true, version: 1 });
	});

	it("for verifying makes old signatures false, and refuses the version by its number", async () => {
		await raise({ minSignVersion: 3, minVerifyVersion: 2 });
		expect((await verify()).json).toEqual({ valid: false });
		expectProblem(await verify(1), 409, "version_below_minimum", { says: ["1", "2"] });
		expect((await verify(2)).json).toEqual({ valid: false });
	});

	it("holds for batches and JWTs too", async () => {
		await raise({ minSignVersion: 3, minVerifyVersion: 2 });
		const items = [{ message: hello }];
		const batch = await tenant.call("POST", `/v1/keys/${key.id}/sign-batch`, {
			json: { items, version: 2 },
		});
		expectProblem(batch, 409, "version_below_minimum");
		const jwt = await tenant.call("POST", `/v1/keys/${key.id}/jwt`, {
			json: { claims: {}, version: 2 },
		});
		expectProblem(jwt, 409, "version_below_minimum");
		const checked = await tenant.call("POST", `/v1/keys/${key.id}/verify-batch`, {
			json: { items: [{ message: hello, signature: old }], version: 1 },
		});
		expectProblem(checked, 409, "version_below_minimum");
	});

	it("may be lowered again, and the old signature is true again", async () => {
		await raise({ minSignVersion: 1, minVerifyVersion: 1 });
		expect((await verify()).json).toEqual({ valid: true, version: 1 });
	});
});

describe("a key of more versions than are loaded with it", () => {
	let key: Key;
	let signatures: { version: number; signature: string }[];
	const last = limits.keyVersionsLoaded + 4;
	beforeAll(async () => {
		key = await newKey(tenant);
		await rotated(key, last - 1);
		signatures = [];
		for (const version of [1, 4, 5, last]) {
			signatures.push(await signed(tenant, key.id, { message: hello, version }));
		}
	});

	it("signs with each of them by its number", () => {
		expect(signatures.map(({ version }) => version)).toEqual([1, 4, 5, last]);
		expect(new Set(signatures.map(({ signature }) => signature)).size).toBe(4);
	});

	it("verifies each of them by its number, also a second time", async () => {
		for (const { version, signature } of [...signatures, ...signatures]) {
			const json = { message: hello, signature, version };
			expect(await verified(tenant, key.id, json)).toEqual({ valid: true, version });
		}
	});

	it("tries the newest sixteen when none is named, and tells that there are older ones", async () => {
		const answers: object[] = [];
		for (const { signature } of signatures) {
			answers.push(await verified(tenant, key.id, { message: hello, signature }));
		}
		expect(answers).toEqual([
			{ valid: false, oldestVersionTried: 5 },
			{ valid: false, oldestVersionTried: 5 },
			{ valid: true, version: 5 },
			{ valid: true, version: last },
		]);
	});

	it("shows the public half of each", async () => {
		const old = await tenant.call("GET", `/v1/keys/${key.id}/public?version=1`);
		expect(old.json).toEqual(key.publicKey.jwk);
	});

	it("lists all of them, newest first, page after page, with what each may do", async () => {
		const path = `/v1/keys/${key.id}/versions`;
		const minimums = { minSignVersion: 5, minVerifyVersion: 2 };
		await tenant.call("PATCH", `/v1/keys/${key.id}`, { json: minimums });
		const seen: { version: number; createdAt: string; maySign: boolean; mayVerify: boolean }[] = [];
		let cursor = "";
		do {
			const { json } = await tenant.call("GET", `${path}?limit=7${cursor}`);
			seen.push(...json.versions);
			cursor = json.nextCursor === null ? "" : `&cursor=${json.nextCursor}`;
		} while (cursor !== "");
		const numbers = Array.from({ length: last }, (_, at) => last - at);
		expect(seen.map(({ version, maySign, mayVerify }) => [version, maySign, mayVerify])).toEqual(
			numbers.map((version) => [version, version >= 5, version >= 2]),
		);
		const times = seen.map(({ createdAt }) => createdAt);
		expect(times).toEqual(times.toSorted().reverse());
		expectProblem(await tenant.call("GET", `${path}?cursor=0`), 400, "invalid_cursor");
		const other = await newTenant();
		expectProblem(await other.call("GET", path), 404, "key_not_found");
		await tenant.call("PATCH", `/v1/keys/${key.id}`, {
			json: { minSignVersion: 1, minVerifyVersion: 1 },
		});
	});

	it("lists none that may sign of a key without its private half", async () => {
		const json = { name: "partner-versions", algorithm: "Ed25519", key: key.publicKey.jwk };
		expect((await tenant.call("POST", "/v1/keys/import", { json })).status).toBe(201);
		const { versions } = (await tenant.call("GET", "/v1/keys/partner-versions/versions")).json;
		expect(versions).toMatchObject([{ version: 1, maySign: false, mayVerify: true }]);
	});

	it("holds the minimum against those too", async () => {
		await tenant.call("PATCH", `/v1/keys/${key.id}`, {
			json: { minSignVersion: 3, minVerifyVersion: 3 },
		});
		for (const [path, json] of [
			["sign", { message: hello, version: 1 }],
			["verify", { message: hello, version: 2, signature: signatures[0]?.signature }],
		] as const) {
			const answer = await tenant.call("POST", `/v1/keys/${key.id}/${path}`, { json });
			expectProblem(answer, 409, "version_below_minimum");
		}
	});
});
