import { pairedFigure, type Unit } from "../figures.ts";
import { type Measured, remarksOn } from "../generator.ts";
import { bareRate } from "../micro.ts";
import type { Plan } from "../plan.ts";
import { type HttpBench, sampleMessage } from "../service.ts";
import { untilStill } from "../still.ts";
import { benchConfig, startWorker } from "../workers.ts";
import { type Peer, startPeers } from "./start.ts";

const connections = 32;
const blockMs = 1_000;
const warmUpMs = 250;
const firstWarmUpMs = 2_000;
const roundsMin = 6; // fewer can not give an interval of 95 %
const secondsPerRound = 12; // with the pauses in which records move
const key = "bench-peers";

/** The service beside what a team would build in its place, in turn, and beside the floor and the ceiling. */
export async function measurePeers(plan: Plan, bench: HttpBench): Promise<void> {
	plan.progress("peers: starting them");
	await bench.service.post("/v1/keys", { name: key, algorithm: "Ed25519" });
	const edgesign: Peer = {
		name: "edgesign",
		server: bench.service.worker,
		request: bench.service.prepare(`/v1/keys/${key}/sign`, { message: sampleMessage }),
	};
	const peers = await startPeers(bench);
	const crypto = await startWorker(bench.ground, "crypto", benchConfig("micro"));
	const outcomes = new Map([edgesign, ...peers].map((peer) => [peer, [] as Measured[]]));
	const bare: number[] = [];
	for (const { server, request } of outcomes.keys()) {
		const job = { request, connections, warmUpMs: firstWarmUpMs, measureMs: blockMs, rate: null };
		await bench.generator.run(server, job);
	}
	const rounds = Math.max(roundsMin, Math.round(plan.seconds.http / secondsPerRound));
	for (let round = 0; round < rounds; round++) {
		plan.progress(`peers: round ${round + 1} of ${rounds}`);
		const order = [...outcomes];
		for (const [peer, into] of round % 2 === 0 ? order : order.reverse()) {
			const { server, request } = peer;
			const job = { request, connections, warmUpMs, measureMs: blockMs, rate: null };
			into.push(await bench.generator.run(server, job));
			if (peer === edgesign) await untilStill(bench.databaseUrl); // its records move at nobody's expense
		}
		bare.push(await bareRate(plan, crypto, { algorithm: "Ed25519", kind: "message", job: "sign" }));
	}
	report(plan, edgesign, outcomes, bare);
}

function report(
	plan: Plan,
	edgesign: Peer,
	outcomes: ReadonlyMap<Peer, readonly Measured[]>,
	bare: readonly number[],
): void {
	const own = outcomes.get(edgesign) ?? [];
	const compare = (
		name: string,
		unit: Unit,
		values: readonly number[],
		besides: readonly number[],
		notes: readonly string[] = [],
	) => {
		if (![...values, ...besides].every(Number.isFinite)) return; // the system does not tell
		const id = `peers/${name.replaceAll(", ", "/").replaceAll(" ", "-")}`;
		const line = unit === "requests/s" ? { id, unit, notes } : { id: `${id}/cpu`, unit };
		plan.done(pairedFigure(line, values, { name, values: besides }));
	};
	const perSecond = ({ perSecond }: Measured) => perSecond;
	const perCpuSecond = ({ serverSecondsEach }: Measured) => 1 / (serverSecondsEach ?? Number.NaN);
	for (const [peer, all] of outcomes) {
		if (peer === edgesign) continue;
		compare(peer.name, "requests/s", own.map(perSecond), all.map(perSecond), remarksOn(all));
		compare(peer.name, "requests/CPU s", own.map(perCpuSecond), all.map(perCpuSecond));
	}
	compare("crypto loop", "requests/s", own.map(perSecond), bare, remarksOn(own));
}
