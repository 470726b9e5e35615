/**
 * 32 bits of a name in a tenant, evenly spread: FNV-1a with the finalizer of MurmurHash3. What has to be
 * small keeps this in the name's place; nothing that must be right depends on it.
 */
export function hashOf(tenant: string, name: string): number {
	let hash = mixed(mixed(0x811c9dc5, tenant), " ");
	hash = mixed(hash, name);
	hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
	hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
	return (hash ^ (hash >>> 16)) >>> 0;
}

function mixed(start: number, text: string): number {
	let hash = start;
	for (let i = 0; i < text.length; i++) {
		hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
	}
	return hash;
}
