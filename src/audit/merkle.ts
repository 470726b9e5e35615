import type { Bytes } from "../lib/bytes.ts";
import { sha256 } from "../lib/sha256.ts";

const nodePrefix = Uint8Array.of(0x01);

/** The root over hashes that have their prefix already (RFC 6962 section 2.1): its memory grows with their logarithm. */
export class MerkleRoot {
	/** Roots of whole subtrees, the largest first; the height of each. */
	readonly #subtrees: { readonly height: number; readonly root: Bytes }[] = [];

	add(leaf: Bytes): void {
		let subtree = { height: 0, root: leaf };
		for (let last = this.#subtrees.at(-1); last?.height === subtree.height; ) {
			this.#subtrees.pop();
			subtree = { height: last.height + 1, root: nodeOf(last.root, subtree.root) };
			last = this.#subtrees.at(-1);
		}
		this.#subtrees.push(subtree);
	}

	/** Of no leaves it is SHA-256 of nothing. */
	root(): Bytes {
		const [first, ...rest] = [...this.#subtrees].reverse();
		if (!first) return sha256();
		return rest.reduce((right, { root }) => nodeOf(root, right), first.root);
	}
}

function nodeOf(left: Bytes, right: Bytes): Bytes {
	return sha256(nodePrefix, left, right);
}

/** What leads from a leaf to the root: its neighbours, the nearest first (RFC 6962 section 2.1.1). */
export function pathTo(leaves: readonly Bytes[], index: number): Bytes[] {
	if (leaves.length <= 1) return [];
	const half = 2 ** Math.floor(Math.log2(leaves.length - 1));
	const [left, right] = [leaves.slice(0, half), leaves.slice(half)];
	return index < half
		? [...pathTo(left, index), rootOver(right)]
		: [...pathTo(right, index - half), rootOver(left)];
}

/** The root that a path leads to from a leaf, in a tree of so many (RFC 9162 section 2.1.3.2); null for no such path. */
export function rootBy(leaf: Bytes, index: number, size: number, path: readonly Bytes[]) {
	if (index >= size) return null;
	let [at, last, root] = [index, size - 1, leaf];
	for (const neighbour of path) {
		if (last === 0) return null;
		if (at % 2 === 1 || at === last) {
			root = nodeOf(neighbour, root);
			// Where it is the last of an odd number it has no neighbour until the tree gets narrower.
			while (at % 2 === 0 && at !== 0) [at, last] = [at / 2, Math.floor(last / 2)];
		} else root = nodeOf(root, neighbour);
		[at, last] = [Math.floor(at / 2), Math.floor(last / 2)];
	}
	return last === 0 ? root : null;
}

function rootOver(leaves: readonly Bytes[]): Bytes {
	const tree = new MerkleRoot();
	for (const leaf of leaves) tree.add(leaf);
	return tree.root();
}
