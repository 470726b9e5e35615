import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { checkpointOf } from "../../src/audit/checkpoint.ts";
import { type ExpiredDay, writeExport } from "../../src/audit/export.ts";
import { createAuditSigner } from "../../src/audit/signer.ts";
import { unfiltered } from "../../src/audit/source.ts";

const command = join(import.meta.dirname, "../../local/audit-verify.ts");
const signer = createAuditSigner([{ id: "test", bytes: new Uint8Array(32).fill(7) }]);
const tenant = "acme";
const chain = "01900000-0000-7000-8000-000000000001";

/** All of a log whose only chain lost its object, and whose records were old enough to be deleted. */
async function exported(): Promise<string> {
	const checkpoint = checkpointOf(tenant, { heads: [], ended: [chain], unknown: [] }, 0);
	const end = (sequence: number) => ({ sequence, link: "AA==" });
	const day: ExpiredDay = {
		...{ export: "export", tenant, day: "1995-01-01", manifest: "00", records: 5 },
		chains: [{ chain, records: 5, first: end(1), last: end(5) }],
	};
	const expired = async function* () {
		yield signer.sign("edgesign-audit-expired+jwt", day);
	};
	const source = { read: async () => ({ records: [], reached: null }) };
	const filter = { ...unfiltered, tenant };
	const hasBegun = async () => false;
	const request = { id: "export", filter, checkpoint, source, signer, hasBegun, expired };
	let text = "";
	for await (const piece of writeExport(request)) text += piece;
	return text;
}

it("says what nobody vouches for, though all of it holds: deleted days, and where a chain ended", async () => {
	const folder = await mkdtemp(join(tmpdir(), "edgesign-audit-"));
	try {
		const [file, keys] = [join(folder, "audit.ndjson"), join(folder, "keys.json")];
		await writeFile(file, await exported());
		await writeFile(keys, JSON.stringify({ keys: await signer.publicKeys() }));
		const args = [command, file, "--keys", keys];
		const { stdout } = await promisify(execFile)(process.execPath, args);
		expect(stdout.trimEnd().split("\n")).toEqual([
			expect.stringMatching(/^0 records in 0 chains of the tenant acme hold: every record/),
			"5 records of 1 day before were deleted, because they were old enough.",
			`The chain ${chain} lost its object; nobody signs where it ended.`,
		]);
	} finally {
		await rm(folder, { recursive: true, force: true });
	}
});
