import { randomBytes } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { RequestKind, RequestShape } from "../requests.ts";
import type { Scenario, Traffic } from "../scenario.ts";
import type { Target } from "../target.ts";
import {
	everyday,
	fromAddress,
	messageOf,
	nameRun,
	newToken,
	prepareEveryday,
} from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

/** Hostile requests for each one of the everyday traffic. */
const times = 4;
/** Parts of a hundred of the hostile requests. */
const hostile: Traffic = {
	flood: 60,
	stolen: 15,
	malformed: 15,
	throttled: 8,
	"batch-of-1001": 1.5,
	"body-of-5-MiB": 0.5,
};
const unknownTokens = 64;
const floodAddress = "203.0.113.1"; // RFC 5737: for documentation

export const attack: Scenario = {
	name: "attack",
	summary: "everyday traffic while attackers send four times as much",
	sizes: { rate: 150, seconds: 40, users: 0 },
	thresholds: [
		"p95<50ms",
		"errors<0.1%",
		"flood:errors<0.1%",
		"flood:429>10%",
		"stolen:errors<0.1%",
		"malformed:errors<0.1%",
		"throttled:errors<0.1%",
		"throttled:429>10%",
		"batch-of-1001:errors<0.1%",
		"body-of-5-MiB:errors<0.1%",
	],
	phases: ["before", "attack", "after"],
	async prepare(target) {
		return [...(await prepareEveryday(target)), ...(await hostileKinds(target))];
	},
	async run({ load, sizes: { rate, seconds } }) {
		const usual = { rate, mix: everyday };
		const attackers = { rate: rate * times, mix: hostile };
		await load([
			warmUp(rate, everyday),
			{ name: "before", seconds: seconds / 4, loads: [usual] },
			{ name: "attack", seconds, loads: [usual, attackers] },
			{ name: "after", seconds: seconds / 4, loads: [usual] },
		]);
	},
};

async function hostileKinds(target: Target): Promise<RequestKind[]> {
	const run = nameRun();
	const path = `/v1/keys/${run}-target`;
	await target.call("POST", "/v1/keys", { name: `${run}-target`, algorithm: "Ed25519" });
	const signer = await newToken(target, `${run} careless`, "signer");
	const slow = await newToken(target, `${run} slow`, "signer", {
		rateLimit: { quota: 5, windowSeconds: 1 },
	});
	const post = (token: string, more: Partial<RequestShape>, action = "sign"): RequestShape => ({
		...{ method: "POST", path: `${path}/${action}`, token },
		...more,
	});
	const good = { json: { message: messageOf(0) } };
	return [
		flood(target, path),
		{
			...{ name: "stolen", hostile: true, expects: [401, 403, 429] },
			requests: (await stolenTokens(target, run)).map((token, index) =>
				post(token, { ...good, headers: fromAddress(target, `203.0.113.${10 + index}`) }),
			),
		},
		{
			...{ name: "malformed", hostile: true, expects: [400, 422] },
			requests: malformedBodies.map((text) => post(signer.token, { text })),
		},
		{
			...{ name: "throttled", hostile: true, expects: [200, 429] },
			requests: [post(slow.token, good)],
		},
		{
			...{ name: "batch-of-1001", hostile: true, expects: [400] },
			requests: [
				post(signer.token, { json: { items: Array(1001).fill(good.json) } }, "sign-batch"),
			],
		},
		{
			...{ name: "body-of-5-MiB", hostile: true, expects: [413] },
			requests: [post(signer.token, { json: { message: "A".repeat(5 * 2 ** 20) } })],
		},
	];
}

/** Tokens that nobody has, from one address: each is looked up, until the address has used up its limit. */
function flood(target: Target, path: string): RequestKind {
	const requests = Array.from(
		{ length: unknownTokens },
		(): RequestShape => ({
			method: "POST",
			path: `${path}/sign`,
			token: `es_${target.tenant}_${randomBytes(32).toString("base64url")}`,
			json: { message: messageOf(0) },
			headers: fromAddress(target, floodAddress),
		}),
	);
	return { name: "flood", hostile: true, expects: [401, 429], requests };
}

/** Tokens that were good once, or are good for something else: revoked, expired, of another role, of other keys. */
async function stolenTokens(target: Target, run: string): Promise<string[]> {
	const revoked = await newToken(target, `${run} revoked`, "signer");
	await target.call("DELETE", `/v1/tokens/${revoked.id}?fence=true`);
	const expired = await newToken(target, `${run} expired`, "signer", { expiresIn: 1 });
	const verifier = await newToken(target, `${run} verifier`, "verifier");
	const scoped = await newToken(target, `${run} scoped`, "signer", { keys: ["another-*"] });
	await sleep(1_500); // until the one has expired
	return [revoked, expired, verifier, scoped].map(({ token }) => token);
}

const malformedBodies = [
	'{"message":',
	'{"message": 5}',
	'{"message": "not base64!"}',
	'{"message": "aGVsbG8=", "other": true}',
	"{}",
	"[]",
	`{"message": ${"[".repeat(50)}${"]".repeat(50)}}`,
	'{"digest": "aGVsbG8="}',
];
