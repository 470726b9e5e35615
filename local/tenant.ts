import { parseArgs } from "node:util";
import { hashToken, mintToken } from "../src/auth/tokens.ts";
import { systemRandom } from "../src/lib/random.ts";
import { databaseOrRunningStack } from "./connect.ts";
import { inOneLine, Problem, runCommand } from "./problem.ts";
import { checkTenantName, ensureAdmin, tenantExists } from "./tenants.ts";

const usage = "npm run tenant -- (create | token) NAME [--data DIR]";

/** create: a new tenant and its admin token; token: one more admin token for a tenant. */
async function main(args: string[]): Promise<void> {
	const { values, positionals } = parseArgs({
		args,
		options: { data: { type: "string" } },
		allowPositionals: true,
	});
	const [verb, tenant, ...rest] = positionals;
	if ((verb !== "create" && verb !== "token") || tenant === undefined || rest.length > 0) {
		throw new Problem(`usage: ${usage}`);
	}
	checkTenantName(tenant);
	const { databaseUrl } = await databaseOrRunningStack(values.data);
	if (verb === "token" && !(await tenantExists(databaseUrl, tenant))) {
		throw new Problem(`there is no tenant ${tenant}`);
	}
	const token = mintToken(tenant, systemRandom);
	const tokenName = `admin, made by npm run tenant -- ${verb}`;
	const admin = { tenant, tokenHash: hashToken(token), tokenName, onlyNew: verb === "create" };
	const made = await ensureAdmin(databaseUrl, admin);
	if (verb === "create" && !made) throw new Problem(`there is a tenant ${tenant} already`);
	if (made) console.error(`The tenant ${tenant} is made.`);
	console.error("Its admin token, shown this once:");
	await printed(token).catch((error) => {
		throw new Problem(
			`the token could not be written and is lost (${inOneLine(error)}): make another with npm run tenant -- token ${tenant}, and with it revoke this one (GET /v1/tokens has its name, "${tokenName}")`,
			{ cause: error },
		);
	});
}

function printed(line: string): Promise<void> {
	return new Promise((resolve, reject) => {
		process.stdout.write(`${line}\n`, (error) => (error ? reject(error) : resolve()));
	});
}

if (import.meta.main) await runCommand(main, usage);
