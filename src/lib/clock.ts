/** Milliseconds since the Unix epoch. Passed in wherever time matters, so that a test can hold it still. */
export type Clock = () => number;

/** The only place of the service that reads the time. */
export const systemClock: Clock = () => Date.now();
