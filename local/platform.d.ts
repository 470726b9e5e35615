/**
 * The one type of the platform that src/env.ts names. The platform's full types can not be loaded
 * beside Node's: both say what a Buffer, a WebSocket and a fetch are, and not the same.
 */
interface Fetcher {
	fetch: typeof fetch;
}
