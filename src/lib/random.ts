/** Fills with unpredictable bytes. Passed in wherever randomness matters, so that a simulation can be seeded. */
export type Random = (byteCount: number) => Uint8Array<ArrayBuffer>;

/** The platform's cryptographic generator. */
export const systemRandom: Random = (byteCount) =>
	crypto.getRandomValues(new Uint8Array(byteCount));

/**
 * Numbers from 0 to below 1 for what needs no secret, such as spreading times: xorshift32 (Marsaglia, 2003)
 * from a seed that `random` gives.
 */
export function fractions(random: Random): () => number {
	let state = new DataView(random(4).buffer).getUint32(0) || 1; // it would stay 0 for ever
	return () => {
		state ^= state << 13;
		state ^= state >>> 17;
		state ^= state << 5;
		return (state >>> 0) / 0x1_0000_0000;
	};
}
