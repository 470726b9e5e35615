import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/*
 * Run it after every change of package-lock.json. npm leaves an optional package of another platform
 * out of the lock when the registry at hand does not serve it, and then refuses the lock in `npm ci`.
 * This adds such packages by name, exact version and platform, without an integrity hash.
 */

interface Entry {
	version?: string;
	dev?: boolean;
	license?: string;
	optionalDependencies?: Record<string, string>;
}

const systems: Readonly<Record<string, string>> = {
	android: "android",
	darwin: "darwin",
	freebsd: "freebsd",
	linux: "linux",
	openharmony: "openharmony",
	win32: "win32",
	windows: "win32",
};
const processors: Readonly<Record<string, string>> = {
	64: "x64",
	arm: "arm",
	arm64: "arm64",
	ia32: "ia32",
	ppc64: "ppc64",
	riscv64: "riscv64",
	s390x: "s390x",
	x64: "x64",
};

function platformEntry(name: string, version: string, { dev, license }: Entry): object {
	const parts = (name.split("/").at(-1) ?? "").split("-");
	const os = parts.map((part) => systems[part]).find(Boolean);
	const cpu = parts.map((part) => processors[part]).find(Boolean);
	if (!os || !cpu) throw new Error(`which platform is ${name} for?`);
	if (!/^\d+\.\d+\.\d+\S*$/.test(version)) throw new Error(`${name} ${version} is not exact`);
	const musl = parts.some((part) => part.startsWith("musl"));
	return {
		version,
		cpu: [cpu],
		...(dev && { dev }),
		...(os === "linux" && { libc: [musl ? "musl" : "glibc"] }),
		...(license && { license }),
		optional: true,
		os: [os],
	};
}

const file = join(import.meta.dirname, "..", "package-lock.json");
const lock = JSON.parse(readFileSync(file, "utf8")) as { packages: Record<string, Entry> };
const { packages } = lock;
for (const [parent, entry] of Object.entries({ ...packages })) {
	for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
		const path = `node_modules/${name}`;
		if (packages[path] || packages[`${parent}/${path}`]) continue;
		packages[path] = platformEntry(name, version, entry);
		console.log(`added ${name} ${version}`);
	}
}
lock.packages = Object.fromEntries(
	Object.entries(packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)),
);
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`);
