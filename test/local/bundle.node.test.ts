import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, onTestFinished, test, vi } from "vitest";
import { makeBundleFolder, requireWrangler, wranglerVariables } from "../../local/bundle.ts";

afterEach(() => {
	vi.unstubAllEnvs();
});

test("wrangler is not told of another project's environment", () => {
	vi.stubEnv("CLOUDFLARE_ENV", "nonsense");
	expect(wranglerVariables()).not.toHaveProperty("CLOUDFLARE_ENV");
});

test("wrangler keeps what it keeps where it always does, and elsewhere where that can not be written", () => {
	vi.stubEnv("XDG_CONFIG_HOME", tmpdir());
	expect(wranglerVariables("/spare").XDG_CONFIG_HOME).toBe(tmpdir());
	vi.stubEnv("XDG_CONFIG_HOME", "/proc/edgesign/config");
	expect(wranglerVariables("/spare").XDG_CONFIG_HOME).toBe("/spare");
});

test("a project that wrangler can not write is told of", () => {
	expect(() => requireWrangler("/proc/edgesign")).toThrow(
		/^wrangler has to write \/proc\/edgesign\/\.wrangler\/tmp: make \/proc\/edgesign writable/,
	);
});

test("the folder of what is run is its owner's alone, whatever the umask", async () => {
	const parent = await mkdtemp(join(tmpdir(), "edgesign-bundle-"));
	onTestFinished(() => rm(parent, { recursive: true, force: true }));
	const before = process.umask();
	for (const mask of [0o000, 0o777]) {
		process.umask(mask);
		await makeBundleFolder(join(parent, "bundle"));
		process.umask(before);
		expect((await stat(join(parent, "bundle"))).mode & 0o777).toBe(0o700);
	}
});
