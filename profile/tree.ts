import type { CpuProfile, ProfileNode } from "../local/inspector.ts";

/** A function of the sources, or of the runtime, where `file` is "". */
export interface Place {
	readonly name: string;
	/** From the root of the project, or from its package: `hono/dist/router.js`. */
	readonly file: string;
	/** From 1. */
	readonly line: number;
}

/** A function as it was called by the ones above it, with microseconds of the samples. */
export interface CallNode {
	readonly place: Place;
	readonly selfUs: number;
	readonly totalUs: number;
	/** The longest first. */
	readonly children: readonly CallNode[];
}

/** What V8 shows beside functions: the names are its own. */
export const pseudo = {
	idle: "(idle)",
	garbage: "(garbage collector)",
	/** Code of the runtime that no JavaScript called: the event loop, HTTP, calls of objects, storage. */
	program: "(program)",
} as const;

interface Growing {
	readonly place: Place;
	selfUs: number;
	readonly children: Map<string, Growing>;
}

/** The profile as one tree: what V8 keeps apart (by how it was compiled) but has one place is one node. */
export function toTree(profile: CpuProfile, placeOf: (node: ProfileNode) => Place): CallNode {
	const byId = new Map(profile.nodes.map((node) => [node.id, node]));
	const selfUs = selfTimes(profile);
	const [first] = profile.nodes;
	if (!first) throw new Error("the profile is empty");
	const grow = (node: ProfileNode, into: Growing) => {
		into.selfUs += selfUs.get(node.id) ?? 0;
		for (const id of node.children ?? []) {
			const child = byId.get(id);
			if (!child) continue;
			const place = placeOf(child);
			const key = keyOf(place);
			const next = into.children.get(key) ?? { place, selfUs: 0, children: new Map() };
			into.children.set(key, next);
			grow(child, next);
		}
	};
	const root: Growing = { place: placeOf(first), selfUs: 0, children: new Map() };
	grow(first, root);
	return settle(root);
}

/** A sample lasts until the next one. */
function selfTimes({
	samples,
	timeDeltas,
	startTime,
	endTime,
}: CpuProfile): ReadonlyMap<number, number> {
	const times = new Map<number, number>();
	let now = startTime;
	for (const [index, id] of samples.entries()) {
		now += timeDeltas[index] ?? 0;
		const lastsUs = timeDeltas[index + 1] ?? Math.max(0, endTime - now);
		times.set(id, (times.get(id) ?? 0) + lastsUs);
	}
	return times;
}

function settle({ place, selfUs, children }: Growing): CallNode {
	const settled = [...children.values()].map(settle).sort((a, b) => b.totalUs - a.totalUs);
	const totalUs = settled.reduce((sum, child) => sum + child.totalUs, selfUs);
	return { place, selfUs, totalUs, children: settled };
}

function keyOf({ name, file, line }: Place): string {
	return `${name} ${file}:${line}`;
}

/** Not what V8 shows beside functions, nor those of the runtime that have no name. */
export function isFunction({ name, file }: Place): boolean {
	return file !== "" || !name.startsWith("(");
}

export interface Heavy {
	readonly place: Place;
	readonly selfUs: number;
	/** With what it called; once for one that called itself. */
	readonly totalUs: number;
}

/** Every function, the one that took most by itself first; not the idle time. */
export function heaviest(tree: CallNode): Heavy[] {
	const found = new Map<string, { place: Place; selfUs: number; totalUs: number }>();
	const path = new Set<string>();
	const visit = (node: CallNode) => {
		const key = keyOf(node.place);
		const isOutermost = !path.has(key);
		const heavy = found.get(key) ?? { place: node.place, selfUs: 0, totalUs: 0 };
		found.set(key, heavy);
		heavy.selfUs += node.selfUs;
		if (isOutermost) heavy.totalUs += node.totalUs;
		path.add(key);
		for (const child of node.children) visit(child);
		if (isOutermost) path.delete(key);
	};
	for (const child of tree.children) visit(child);
	return [...found.values()]
		.filter(({ place }) => place.name !== pseudo.idle)
		.sort((a, b) => b.selfUs - a.selfUs);
}

/** Microseconds in which the thread was not idle. */
export function busyTime(tree: CallNode): number {
	const idle = tree.children.find(({ place }) => place.name === pseudo.idle);
	return tree.totalUs - (idle?.totalUs ?? 0);
}
