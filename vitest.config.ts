import { totalmem } from "node:os";
import { join } from "node:path";
import { cloudflareTest } from "@cloudflare/vitest-plugin";
import { defineConfig } from "vitest/config";
import { LongestFirst } from "./test/support/node/longest-first.ts";

/** How long something takes is never what a test is about: a busy machine may be slow. */
const patient = { expect: { poll: { timeout: 20_000 } } };

/** Twice the two processors that it is made for: half of the time a test waits for something. */
const workersMost = 4;
/** With the services that its tests start; in bytes. */
const memoryOfWorker = 1.5 * 2 ** 30;
/** What a container may have is 0 where it may have all. */
const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY);

/**
 * Projects beside each other in one folder: `*.test.ts` runs in workerd, as the service does, and
 * `*.alone.test.ts` in an isolate of its own; `*.node.test.ts` runs in Node and looks at the service from
 * outside.
 */
export default defineConfig({
	test: {
		// Of the whole run, not of the workerd project, whose modules are resolved as a worker's.
		maxWorkers: Math.max(1, Math.min(workersMost, Math.floor(memory / memoryOfWorker))),
		sequence: { sequencer: LongestFirst },
		globalSetup: ["test/support/node/global-setup.ts"],
		projects: [
			// One isolate for file after file, as requests of many tenants meet in one: it saves half the time.
			inWorkerd("workerd", {
				isolate: false,
				include: ["test/**/*.test.ts"],
				exclude: ["test/**/*.node.test.ts", "test/**/*.alone.test.ts"],
			}),
			inWorkerd("workerd-alone", { isolate: true, include: ["test/**/*.alone.test.ts"] }),
			{
				test: {
					name: "node",
					// One process for file after file too: a new one costs a second of the processor each.
					isolate: false,
					include: ["test/**/*.node.test.ts"],
					...patient,
					testTimeout: 60_000,
					hookTimeout: 60_000,
				},
			},
		],
	},
});

const bucket = "edgesign-audit";

/** The archive's worker, as it was bundled for this run: the service has its own binding to it. */
function archiveWorker(bundleDir: string, bindings: Record<string, string>) {
	const modulesRoot = `${bundleDir}-archive`;
	return {
		name: "edgesign-archive",
		compatibilityDate: "2026-11-01",
		modules: [{ type: "ESModule" as const, path: join(modulesRoot, "archive.js") }],
		modulesRoot,
		bindings,
		r2Buckets: { ARCHIVE: bucket },
	};
}

function inWorkerd(
	name: string,
	files: { readonly isolate: boolean; readonly include: string[]; readonly exclude?: string[] },
) {
	return {
		plugins: [
			cloudflareTest(({ inject }) => ({
				wrangler: { configPath: "./wrangler.toml" },
				miniflare: {
					bindings: inject("bindings"),
					// Of the archive's worker, for tests of what that does.
					r2Buckets: { ARCHIVE: bucket },
					workers: [archiveWorker(inject("bundleDir"), inject("bindings"))],
				},
			})),
		],
		test: {
			name,
			...files,
			...patient,
			// The first request of a file loads the whole service: on a busy machine that takes seconds.
			testTimeout: 60_000,
			hookTimeout: 60_000,
		},
	};
}
