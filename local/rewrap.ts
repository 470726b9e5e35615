import { parseArgs } from "node:util";
import { createDatabase, DatabaseUnavailable } from "../src/db/client.ts";
import { type RewrapServices, rewrap } from "../src/jobs/rewrap.ts";
import { systemClock as clock } from "../src/lib/clock.ts";
import { parseKeyEncryptionKeys } from "../src/lib/keks.ts";
import { systemRandom } from "../src/lib/random.ts";
import { createEnvelope } from "../src/signing/envelope.ts";
import { dataFolderPath, givenDatabase, runningStack } from "./connect.ts";
import { inOneLine, Problem, runCommand } from "./problem.ts";
import { progressBar, showProgress } from "./progress.ts";

const failuresShown = 20;

/** Moves every key under the newest key-encryption key, beside a service that runs and knows it. */
async function main(args: string[]): Promise<void> {
	const { values } = parseArgs({ args, options: { data: { type: "string" } } });
	const services = await connect(values.data);
	const { moved, failed } = await rewrap(services, (done, total) =>
		showProgress(progressBar(done, total, `${done} of ${total} versions`)),
	)
		.catch(cutOff)
		.finally(() => showProgress(""));
	for (const { tenant_id, key_id, version } of failed.slice(0, failuresShown)) {
		console.error(`did not open: tenant ${tenant_id}, key ${key_id}, version ${version}`);
	}
	console.log(`${moved} versions are now under "${services.envelope.newestKekId}".`);
	if (failed.length > 0) {
		throw new Problem(
			`${failed.length} versions did not open and stay as they were: is their key-encryption key in the list?`,
		);
	}
}

function cutOff(error: unknown): never {
	if (!(error instanceof DatabaseUnavailable)) throw error;
	const line = `the database does not answer (${inOneLine(error)}): what was moved is moved, run it again for the rest`;
	throw new Problem(line, { cause: error });
}

/** DATABASE_URL and KEY_ENCRYPTION_KEYS, as deployed; else what the local stack that runs was started with. */
async function connect(data: string | undefined): Promise<RewrapServices> {
	const databaseUrl = data === undefined ? givenDatabase() : undefined;
	if (databaseUrl) {
		const { KEY_ENCRYPTION_KEYS } = process.env;
		if (!KEY_ENCRYPTION_KEYS) {
			throw new Problem("KEY_ENCRYPTION_KEYS is not set: the worker's own list, newest first");
		}
		return servicesOf(databaseUrl, null, KEY_ENCRYPTION_KEYS);
	}
	const folder = dataFolderPath(data);
	const stack = await runningStack(folder);
	if (!stack) {
		throw new Problem(
			`there is no database: set DATABASE_URL and KEY_ENCRYPTION_KEYS, or run npm start beside this (nothing runs on ${folder})`,
		);
	}
	return servicesOf(stack.workerDatabaseUrl, stack.neonUrl, stack.keyEncryptionKeys);
}

function servicesOf(databaseUrl: string, neonGateway: string | null, keys: string): RewrapServices {
	return {
		db: createDatabase({ databaseUrl, neonGateway }),
		envelope: createEnvelope(parseKeyEncryptionKeys(keys), systemRandom),
		clock,
		random: systemRandom,
	};
}

const usage =
	"npm run rewrap -- [--data DIR]\n\nMoves every key under the newest key-encryption key while the service runs (docs/runbook.md).";

if (import.meta.main) await runCommand(main, usage);
