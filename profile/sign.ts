import type { Scenario } from "../loadtests/scenario.ts";
import { limits } from "./limits.ts";

const key = "profiled-ed25519";
/** 32 bytes, as a message. */
const message = Buffer.alloc(32, 7).toString("base64");

/** The main job alone, as fast as it goes: what the thread does is what a warm signature costs. */
export const sign: Scenario = {
	name: "sign",
	summary: "a warm Ed25519 signature, as many as there are answers",
	sizes: { rate: 0, seconds: limits.secondsDefault, users: limits.signUsers },
	thresholds: ["errors<0.1%"],
	async prepare(target) {
		await target.call("POST", "/v1/keys", { name: key, algorithm: "Ed25519" });
		const { token } = target;
		const request = { method: "POST", path: `/v1/keys/${key}/sign`, token, json: { message } };
		return [{ name: "sign", requests: [{ ...request, method: "POST" }], expects: [200] }];
	},
	async run({ load, sizes: { seconds, users } }) {
		const loads = [{ users, thinkMs: 0, mix: { sign: 1 } }];
		await load([
			{ name: "warm-up", seconds: limits.signWarmUpSeconds, loads, measured: false },
			{ name: "sign", seconds, loads },
		]);
	},
};
