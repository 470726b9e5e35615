/** The parts that are read of what V8 writes; a node is as many numbers as there are fields. */
export interface HeapSnapshot {
	readonly snapshot: {
		readonly meta: {
			readonly node_fields: readonly string[];
			/** The first entry names the types of nodes. */
			readonly node_types: readonly unknown[];
		};
	};
	readonly nodes: readonly number[];
	readonly strings: readonly string[];
}

/** What V8 makes for itself as it learns which code is worth compiling. */
const engineTypes: ReadonlySet<string> = new Set(["code", "hidden", "object shape"]);
const engineNames = "system / ";
/** The contents of an ArrayBuffer. */
const bufferName = "system / JSArrayBufferData";

/** Bytes of what a program keeps: its objects, texts, closures and buffers, and the runtime's objects behind them. */
export function keptBytes({ snapshot: { meta }, nodes, strings }: HeapSnapshot): number {
	const types = meta.node_types[0] as readonly string[];
	const [type, name, size] = ["type", "name", "self_size"].map((field) => {
		const at = meta.node_fields.indexOf(field);
		if (at === -1) throw new Error(`the heap snapshot's nodes have no ${field}`);
		return at;
	}) as [number, number, number];
	const value = (node: number, field: number) => nodes[node + field] ?? 0;
	let bytes = 0;
	for (let node = 0; node < nodes.length; node += meta.node_fields.length) {
		const kind = types[value(node, type)] ?? "";
		if (engineTypes.has(kind)) continue;
		const text = kind === "native" ? (strings[value(node, name)] ?? "") : "";
		if (text.startsWith(engineNames) && text !== bufferName) continue;
		bytes += value(node, size);
	}
	return bytes;
}
