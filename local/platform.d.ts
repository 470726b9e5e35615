/**
 * The types of the platform that src/ names in what is used here. Its full types can not be loaded
 * beside Node's: both say what a Buffer, a WebSocket and a fetch are, and not the same.
 */
interface Fetcher {
	fetch: typeof fetch;
}

type CryptoKey = import("node:crypto").webcrypto.CryptoKey;

type DurableObjectLocationHint = string;

interface IncomingRequestCfProperties {
	readonly colo: string;
	readonly continent?: string;
}
