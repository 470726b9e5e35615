/** Fills with unpredictable bytes. Passed in wherever randomness matters, so that a simulation can be seeded. */
export type Random = (byteCount: number) => Uint8Array<ArrayBuffer>;

/** The platform's cryptographic generator. */
export const systemRandom: Random = (byteCount) =>
	crypto.getRandomValues(new Uint8Array(byteCount));
