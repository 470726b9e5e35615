import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { variantConfig } from "../bench/workers.ts";
import type { LoadResult } from "../loadtests/results.ts";
import { type RunSettings, runScenario } from "../loadtests/run-scenario.ts";
import type { Scenario } from "../loadtests/scenario.ts";
import { ownTarget, type Target } from "../loadtests/target.ts";
import {
	type CpuProfile,
	type HeapUsage,
	type Inspector,
	openInspector,
} from "../local/inspector.ts";
import { freePort } from "../local/ports.ts";
import { readPlaces } from "./places.ts";
import { type CallNode, toTree } from "./tree.ts";

/** What was seen of the service's isolate while a scenario ran. */
export interface Capture {
	readonly result: LoadResult;
	readonly profile: CpuProfile;
	readonly tree: CallNode;
	/** Answers while it was profiled. */
	readonly requests: number;
	/** After a collection, before the load and after it. */
	readonly heap: { readonly before: HeapUsage; readonly after: HeapUsage };
}

export interface CaptureSettings extends Pick<RunSettings, "sizes" | "onProgress" | "signal"> {
	/** Between two samples. */
	readonly intervalUs: number;
	/** Where the heap snapshot is written. */
	readonly snapshotPath: string;
	readonly command: string;
	/** Told what goes on, where it takes its time. */
	readonly onStep: (step: string) => void;
}

/**
 * Runs a scenario on a stack of its own and looks at the isolate from outside meanwhile: at its CPU from
 * the first phase that is measured on, at its heap before and after.
 */
export async function capture(scenario: Scenario, settings: CaptureSettings): Promise<Capture> {
	const path = await mkdtemp(join(tmpdir(), "edgesign-profile-"));
	const inspectorPort = await freePort();
	let target: Target | null = null;
	let inspector: Inspector | null = null;
	try {
		settings.onStep("starting the stack");
		const configPath = await variantConfig({ folder: { path } }, "readable", { readable: true });
		const { signal } = settings;
		target = await ownTarget({ configPath, inspectorPort, ...(signal && { signal }) });
		inspector = await openInspector(inspectorPort);
		return await observe(scenario, settings, target, inspector);
	} finally {
		inspector?.close();
		await target?.stop();
		await rm(path, { recursive: true, force: true });
	}
}

async function observe(
	scenario: Scenario,
	{ intervalUs, snapshotPath, onStep, ...settings }: CaptureSettings,
	target: Target,
	inspector: Inspector,
): Promise<Capture> {
	const { stack } = target;
	if (!stack) throw new Error("a profile is of a stack of its own");
	const placeOf = await readPlaces(join(stack.folder.path, "bundle", "index.js"));
	const before = await heapOf(inspector, target);
	let started: Promise<void> | null = null;
	const result = await runScenario(scenario, {
		...settings,
		target,
		onPhase({ name, measured = true }) {
			onStep(`${scenario.name}: ${name}`);
			if (measured) started ??= inspector.startProfile(intervalUs);
		},
	});
	if (!started) throw new Error(`the scenario ${scenario.name} has no phase that is measured`);
	await started;
	const profile = await inspector.stopProfile();
	onStep("taking the heap snapshot");
	const after = await heapOf(inspector, target);
	await inspector.takeHeapSnapshot(snapshotPath);
	const requests = result.kinds.reduce((sum, { right, errors }) => sum + right + errors, 0);
	return { result, profile, tree: toTree(profile, placeOf), requests, heap: { before, after } };
}

async function heapOf(inspector: Inspector, { url }: Target): Promise<HeapUsage> {
	await inspector.collectGarbage(async () => (await fetch(`${url}/healthz`)).arrayBuffer());
	return inspector.heapUsage();
}
