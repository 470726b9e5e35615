import type { Scenario } from "../scenario.ts";
import { batchKind, newToken, prepareEveryday } from "../traffic.ts";
import { warmUp } from "../warm-up.ts";

const items = 500;
const job = "job";

export const jobs: Scenario = {
	name: "jobs",
	summary: `50 jobs at once that sign batches of ${items}, beside single signatures`,
	sizes: { rate: 50, seconds: 30, users: 50 },
	figures: { signatures: "rate" },
	thresholds: ["errors<0.1%", "job:p95<10s", "sign:p95<1s", "signatures>5000/s"],
	phases: ["jobs"],
	async prepare(target) {
		const everyday = await prepareEveryday(target);
		const key = `batch-${Date.now().toString(36)}`;
		await target.call("POST", "/v1/keys", { name: key, algorithm: "Ed25519" });
		const { token } = await newToken(target, key, "signer");
		return [...everyday, batchKind(job, items, () => `/v1/keys/${key}`, token)];
	},
	async run({ load, figure, summary, sizes: { rate, seconds, users } }) {
		const single = { rate, mix: { sign: 1 } };
		const [, phase] = await load([
			warmUp(rate, { sign: 1 }),
			{ name: "jobs", seconds, loads: [single, { users, thinkMs: 0, mix: { [job]: 1 } }] },
		]);
		if (!phase) return;
		figure({
			name: "signatures",
			value: summary(phase, [job]).rate * items,
			dimension: "rate",
			text: `signatures per second in batches of ${items}, ${users} at once`,
		});
	},
};
