/** What is used of it; the platform offers it by its compatibility date. */
declare module "node:crypto" {
	interface Sha256 {
		update(data: Uint8Array): this;
		digest(): Uint8Array<ArrayBuffer>;
	}
	export function createHash(algorithm: "sha256"): Sha256;
}
