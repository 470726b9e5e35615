import { randomBytes } from "node:crypto";
import { isAbsolute, relative } from "node:path";
import { parseArgs } from "node:util";
import { dataFolderPath } from "./connect.ts";
import { scarceRoom } from "./folder.ts";
import { portFromEnvironment, shellQuoted, wholeNumber } from "./options.ts";
import { describe } from "./problem.ts";
import { onEndRequest } from "./signals.ts";
import { type Stack, startStack } from "./stack.ts";

const edgesMax = 16;
const help = `npm start -- [--data DIR] [--edges N]

Runs the whole service on this machine, at http://127.0.0.1:8787.
  --data DIR   the folder that keeps everything; .data in the project by default
  --edges N    N locations on ports in a row, each with a memory of its own; 1 by default
  PORT         (environment) the port of the first location; 0 for any free one
  LOG_LEVEL    (environment) debug, info, warn (default) or error
  AUDIT_HOT_DAYS (environment) after how many days records of the log go to the archive; 30 by default
  REDIS_URL    (environment) a Redis to use; else redis-server if it is there, else in-process
  KEY_ENCRYPTION_KEYS (environment) id:base64,id:base64, newest first; else kept in the data folder`;

function readOptions(args: string[]) {
	const { values } = parseArgs({
		args,
		options: {
			data: { type: "string" },
			edges: { type: "string", default: "1" },
			help: { type: "boolean", short: "h", default: false },
		},
	});
	const edges = wholeNumber("--edges", values.edges, 1, edgesMax);
	const dataDir = dataFolderPath(values.data);
	return { help: values.help, edges, dataDir, port: portFromEnvironment(edges) };
}

/** As a person in the folder where npm was called would write it. */
function pathToShow(path: string): string {
	const near = relative(process.env.INIT_CWD ?? process.cwd(), path);
	return near.startsWith("..") || isAbsolute(near) ? path : near;
}

/** Three lines that work when pasted: create a key, sign "hello", verify that signature. */
function firstSteps(url: string, tokenFile: string): string {
	const key = `demo-${randomBytes(3).toString("hex")}`;
	const message = Buffer.from("hello").toString("base64");
	const headers = `-H "Authorization: Bearer $(cat ${shellQuoted(tokenFile)})" -H "Content-Type: application/json"`;
	const post = (path: string, body: string) =>
		`curl -sS -w "\\n" ${url}${path} ${headers} -d ${body}`;
	const signature = `sed -n 's/.*"signature":"\\([^"]*\\)".*/\\1/p'`;
	return [
		"Create a key, sign with it and verify the signature:\n",
		post("/v1/keys", `'{"name":"${key}","algorithm":"Ed25519"}'`),
		`SIGNATURE=$(${post(`/v1/keys/${key}/sign`, `'{"message":"${message}"}'`)} | ${signature}); echo "$SIGNATURE"`,
		post(
			`/v1/keys/${key}/verify`,
			`"{\\"message\\":\\"${message}\\",\\"signature\\":\\"$SIGNATURE\\"}"`,
		),
	].join("\n");
}

async function announce(stack: Stack): Promise<void> {
	const [url = "", ...others] = stack.urls;
	const file = pathToShow(stack.adminTokenFile);
	console.log(`\nedgesign runs at ${url} (the API: ${url}/docs)`);
	if (others.length > 0) console.log(`Further locations: ${others.join(" ")}`);
	if (stack.missingKeks.length > 0) {
		const source = process.env.KEY_ENCRYPTION_KEYS ? "KEY_ENCRYPTION_KEYS" : "the data folder";
		const ids = stack.missingKeks.join(", ");
		console.log(
			`\nWARNING: keys are sealed under ${ids}, which ${source} does not have; they can not sign.`,
		);
	}
	const room = scarceRoom(stack.folder.path);
	if (room !== null) {
		const left = `${Math.floor(room / 2 ** 20)} MiB are left on its disk`;
		console.log(
			`\nWARNING: ${left} (${pathToShow(stack.folder.path)}); when it is full nothing is recorded, and nothing signed.`,
		);
	}
	await showToken(stack, file);
	if (stack.adminIsGood) console.log(`\n${firstSteps(url, file)}`);
	console.log("\nCtrl-C stops everything.");
}

async function showToken({ admin, adminIsGood, tenant }: Stack, file: string): Promise<void> {
	if (!adminIsGood) {
		console.log(
			`\nWARNING: the admin token of the tenant ${tenant} in ${file} was revoked; another is made with: npm run tenant -- token ${tenant}`,
		);
	} else if (admin.isUnseen()) {
		console.log(`\nThe admin token of the tenant ${tenant}, shown this once:`);
		console.log(admin.token);
		console.log(`It is kept in ${file}.`);
		await admin.noteSeen();
	} else {
		console.log(`The admin token of the tenant ${tenant} is in ${file}.`);
	}
}

async function main(): Promise<number> {
	const options = readOptions(process.argv.slice(2));
	if (options.help) {
		console.log(help);
		return 0;
	}
	const end = new AbortController();
	onEndRequest(() => {
		console.log("\nStopping ..."); // a start that is under way takes its time to end
		end.abort();
	});
	let stack: Stack;
	try {
		stack = await startStack({
			...options,
			signal: end.signal,
			onStarting: () => console.log("Starting PostgreSQL, the gateways and the worker ..."),
			onLog: ({ level, message }) => console[level === "error" ? "error" : "log"](message),
			onEvent: (line) => console.error(`edgesign: ${line}`),
		});
	} catch (error) {
		if (end.signal.aborted) return 0;
		throw error;
	}
	await announce(stack);
	const asked = new Promise<null>((resolve) => {
		if (end.signal.aborted) resolve(null);
		end.signal.addEventListener("abort", () => resolve(null));
	});
	const failure = await Promise.race([asked, stack.died]);
	await stack.stop();
	if (failure === null) return 0;
	console.error(`edgesign: ${failure}; everything else was stopped`);
	return 1;
}

try {
	process.exit(await main());
} catch (error) {
	console.error(describe(error));
	process.exit(1);
}
