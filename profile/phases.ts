import { type CallNode, type Heavy, heaviest, type Place, pseudo } from "./tree.ts";

interface Rule {
	readonly phase: string;
	/** A file, a folder that ends in "/", or a function of a file behind "#". */
	readonly of: readonly string[];
	/** All that these call is theirs, whatever other lines say of it. */
	readonly withCalled?: true;
}

/**
 * The phases of a request, by the places of functions in the sources: the innermost function on the
 * stack that a line names decides, and of several lines the first. Helpers that all phases share are in
 * no line, and belong to whoever called them. What goes on after an `await` has a stack of its own, where
 * the same lines find it.
 */
const rules: readonly Rule[] = [
	{
		phase: "audit: to Postgres",
		of: ["src/audit/move.ts", "src/audit/pack.ts", "durable-objects/audit-log.ts#alarm"],
		withCalled: true,
	},
	{ phase: "jobs", of: ["src/jobs/", "src/signing/spares.ts"], withCalled: true },
	{ phase: "authenticate", of: ["src/auth/", "src/routes/admission.ts#admit"] },
	{
		phase: "lease",
		of: ["src/routes/admission.ts", "src/ratelimit/", "durable-objects/coordinator.ts"],
	},
	{
		phase: "read the input",
		of: ["src/routes/input.ts", "src/routes/serve.ts#readInput", "src/schemas/", "src/lib/json.ts"],
	},
	{
		phase: "key",
		of: [
			"src/signing/loaded.ts",
			"src/signing/keys.ts",
			"src/signing/envelope.ts",
			"src/db/keys.ts",
		],
	},
	{ phase: "sign", of: ["src/signing/"] },
	{
		phase: "audit: the object",
		of: ["durable-objects/audit-log.ts", "src/audit/block.ts#buildBlock", "src/audit/chain.ts"],
	},
	{ phase: "audit: the isolate", of: ["src/audit/", "src/routes/audited.ts"] },
	{
		phase: "answer",
		of: [
			"src/routes/serve.ts#toResponse",
			"src/routes/problem.ts",
			"src/routes/rate-headers.ts",
			"src/schemas/headers.ts",
		],
	},
	{
		phase: "idempotency",
		of: ["src/idempotency/", "src/routes/idempotent.ts", "durable-objects/idempotency.ts"],
	},
	{
		phase: "database, Redis",
		of: ["@neondatabase/", "src/db/", "src/cache/redis.ts", "src/coordination/"],
	},
	{ phase: "route", of: ["src/app.ts", "src/services.ts", "src/routes/", "hono/"] },
];

/** All that the lines name: what is moved in the sources has to be moved here. */
export function rulePlaces(): string[] {
	return rules.flatMap(({ of }) => of);
}

/** What the runtime calls by itself, or does without any function. */
const runtimePhase = "runtime: event loop, I/O";
const garbagePhase = "garbage collection";
/** Functions that were called by none that a line stands for. */
const restPhase = "not attributed";
const idlePhase = "idle";

const pseudoPhases: Readonly<Record<string, string>> = {
	[pseudo.program]: runtimePhase,
	[pseudo.garbage]: garbagePhase,
	[pseudo.idle]: idlePhase,
};

/** In the order of a request, and the rest behind it. */
const phaseNames: readonly string[] = [
	...["route", "authenticate", "lease", "read the input", "key", "sign"],
	...["audit: the isolate", "audit: the object", "answer"],
	...["idempotency", "audit: to Postgres", "database, Redis", "jobs"],
	...[runtimePhase, garbagePhase, restPhase],
];

export interface Phase {
	readonly name: string;
	readonly selfUs: number;
	/** Its functions, the one that took most by itself first. */
	readonly functions: readonly Heavy[];
}

/** The time of each phase, without the idle time: a whole of which no part is told twice or left out. */
export function timePhases(tree: CallNode): Phase[] {
	const parts = new Map<string, CallNode[]>(phaseNames.map((name) => [name, []]));
	const visit = (node: CallNode, above: string) => {
		const phase = phaseBelow(above, node.place);
		parts.get(phase)?.push({ ...node, totalUs: node.selfUs, children: [] });
		for (const child of node.children) visit(child, phase);
	};
	for (const child of tree.children) visit(child, outermost);
	return [...parts].map(([name, children]) => ({
		name,
		selfUs: children.reduce((sum, { selfUs }) => sum + selfUs, 0),
		functions: heaviest({ ...tree, selfUs: 0, children }),
	}));
}

/** The phase of what nobody called. */
export const outermost = restPhase;

/** The phase of a function that was called in a phase. */
export function phaseBelow(above: string, place: Place): string {
	if (holding.has(above)) return above;
	const isRuntimeByItself = above === outermost && place.file === "";
	const otherwise = isRuntimeByItself ? runtimePhase : above;
	return pseudoPhases[place.name] ?? rules.find((rule) => names(rule, place))?.phase ?? otherwise;
}

const holding = new Set(rules.filter(({ withCalled }) => withCalled).map(({ phase }) => phase));

function names({ of }: Rule, { file, name }: Place): boolean {
	return of.some((text) => {
		const [path = "", wanted] = text.split("#");
		if (wanted !== undefined) return file === path && name === wanted;
		return path.endsWith("/") ? file.startsWith(path) : file === path;
	});
}
