import { sha256 } from "../lib/sha256.ts";

type Bytes = Uint8Array<ArrayBuffer>;

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
