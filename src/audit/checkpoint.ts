import { type Bytes, fromBase64, toBase64, withLengths } from "../lib/bytes.ts";
import { sha256 } from "../lib/sha256.ts";
import type { ChainHead, ChainName } from "./chain.ts";
import { MerkleRoot } from "./merkle.ts";

/** The log of a tenant at one moment: which chains it has, and how far each of them goes. */
export interface ChainHeads {
	readonly heads: readonly (ChainName & ChainHead)[];
	/** Chains that no object goes on with: its storage was lost. Their records are those that had moved. */
	readonly ended: readonly string[];
	/** Chains that Postgres alone knows of: somebody has written them there, or everything else was lost. */
	readonly unknown: readonly string[];
}

/** What the service says of a tenant's log, under its own key: whoever keeps it sees later that nothing before was changed. */
export interface Checkpoint {
	readonly tenant: string;
	/** ISO 8601. */
	readonly at: string;
	/** Each chain's last record; in the order of the chains' ids. */
	readonly chains: readonly ShownHead[];
	/** Chains that end where they end: the storage behind them was lost. */
	readonly ended: readonly string[];
	/** Chains that stand in Postgres and that nobody else knows of: nothing vouches for their records. */
	readonly unknown?: readonly string[];
	/** Merkle root over the chains' heads, in base64. */
	readonly root: string;
}

interface ShownHead extends ChainName {
	readonly sequence: number;
	/** In base64. */
	readonly link: string;
}

const headPrefix = Uint8Array.of(0x04);

export function checkpointOf(
	tenant: string,
	{ heads, ended, unknown }: ChainHeads,
	at: number,
): Checkpoint {
	const tree = new MerkleRoot();
	for (const head of heads) tree.add(hashOfHead(head));
	return {
		tenant,
		at: new Date(at).toISOString(),
		chains: heads.map(({ id, region, shard, sequence, link }) => ({
			...{ id, tenant, region, shard, sequence },
			link: toBase64(link),
		})),
		ended,
		unknown,
		root: toBase64(tree.root()),
	};
}

/** Whether a checkpoint's root is that of its heads. */
export function isSound({ chains, root }: Checkpoint): boolean {
	const tree = new MerkleRoot();
	for (const { link, ...head } of chains) {
		tree.add(hashOfHead({ ...head, link: fromBase64(link) ?? new Uint8Array() }));
	}
	return toBase64(tree.root()) === root;
}

/** SHA-256 of 0x04, the parts of the chain's name and the number of its last record, and that one's link. */
function hashOfHead({ id, tenant, region, shard, sequence, link }: ChainName & ChainHead): Bytes {
	const name = withLengths([id, tenant, region, String(shard), String(sequence)]);
	return sha256(headPrefix, name, link);
}
