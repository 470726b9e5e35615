import { beforeAll, describe, expect, it } from "vitest";
import { expectProblem } from "../support/answers.ts";
import { hello, newKey, verified } from "../support/keys.ts";
import { type Answer, newTenant, type Tenant } from "../support/tenant.ts";
import { newIdempotencyKey, rowsOf } from "./support.ts";

let tenant: Tenant;
beforeAll(async () => {
	tenant = await newTenant();
});

const requests = 100;

/** The same request so many times at once. */
function atOnce(method: string, path: string, json?: unknown): Promise<Answer[]> {
	const headers = { "Idempotency-Key": newIdempotencyKey() };
	const options = { headers, ...(json !== undefined && { json }) };
	return Promise.all(Array.from({ length: requests }, () => tenant.call(method, path, options)));
}

/** The one answer that those who got any got; the others were told to wait. */
function theAnswer(answers: readonly Answer[], status: number): Answer {
	const done = answers.filter((answer) => answer.status === status);
	const [first] = done;
	if (!first) throw new Error(answers[0]?.text);
	expect(new Set(done.map(({ text }) => text)).size).toBe(1);
	for (const answer of answers) {
		if (answer.status === status) continue;
		expectProblem(answer, 409, "idempotency_running");
		expect(answer.headers.get("retry-after")).toBe("1");
	}
	expect(done.filter(({ headers }) => !headers.has("idempotency-replayed"))).toHaveLength(1);
	return first;
}

describe(`${requests} requests at once with one key`, () => {
	it("make one key", async () => {
		const json = { name: "contended", algorithm: "Ed25519" };
		const { json: made } = theAnswer(await atOnce("POST", "/v1/keys", json), 201);
		expect((await tenant.call("GET", "/v1/keys/contended")).json.id).toBe(made.id);
	});

	it("make one new version", async () => {
		const { id } = await newKey(tenant);
		const answer = theAnswer(await atOnce("POST", `/v1/keys/${id}/rotate`), 200);
		expect(answer.json.version).toBe(2);
		expect((await tenant.call("GET", `/v1/keys/${id}`)).json.version).toBe(2);
	});

	it("make one token", async () => {
		const [, , before] = (await rowsOf(tenant.id)) as unknown[][];
		theAnswer(await atOnce("POST", "/v1/tokens", { name: "contended", role: "signer" }), 201);
		const [, , after] = (await rowsOf(tenant.id)) as unknown[][];
		expect(after?.length).toBe((before?.length ?? 0) + 1);
	});

	it("make one signature, which verifies", async () => {
		const { id } = await newKey(tenant, "ES256");
		const answers = await atOnce("POST", `/v1/keys/${id}/sign`, { message: hello });
		const { signature } = theAnswer(answers, 200).json;
		expect(await verified(tenant, id, { message: hello, signature })).toMatchObject({
			valid: true,
		});
	});
});
