import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";
import { newKeyEncryptionKey } from "../../../local/folder.ts";
import { grantApplicationRights, migrate } from "../../../local/migrate.ts";
import { startNeonGateway } from "../../../local/neon.ts";
import { startPostgres, workerRole } from "../../../local/postgres.ts";
import { startRedisGateway } from "../../../local/redis.ts";

declare module "vitest" {
	interface ProvidedContext {
		/** What the worker under test gets as its environment, and the owner's database for the tests themselves. */
		bindings: Record<string, string>;
	}
}

/** PostgreSQL, the gateways and the schema, once for all tests in workerd. Each test makes a tenant of its own. */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
	const dataDir = await mkdtemp(join(tmpdir(), "edgesign-test-"));
	const postgres = await startPostgres({ dataDir, durable: false });
	await migrate(postgres.url);
	await grantApplicationRights(postgres.url, workerRole);
	const token = "test-redis-token";
	const neon = await startNeonGateway({ databaseUrl: postgres.url });
	const redis = await startRedisGateway({ dataDir, token });
	project.provide("bindings", {
		DATABASE_URL: postgres.workerUrl,
		OWNER_DATABASE_URL: postgres.url,
		NEON_GATEWAY: neon.url,
		UPSTASH_REDIS_REST_URL: redis.url,
		UPSTASH_REDIS_REST_TOKEN: token,
		KEY_ENCRYPTION_KEYS: newKeyEncryptionKey(),
	});
	return async () => {
		await redis.stop();
		await neon.stop();
		await postgres.stop();
		await rm(dataDir, { recursive: true, force: true });
	};
}
