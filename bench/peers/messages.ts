/** To a peer's process: what it is to be. */
export interface PeerOptions {
	readonly token: string;
	/** PKCS#8, in base64. */
	readonly privateKey: string;
	/** Inserts a row for each signature before it answers. */
	readonly audit: boolean;
	/** Where rate-limiter-flexible counts; null for no limits. */
	readonly limiter: "memory" | "redis" | "postgres" | null;
	readonly databaseUrl: string;
	readonly redisUrl: string | null;
}

/** From it, once it serves on a port of 127.0.0.1. */
export interface PeerReady {
	readonly port: number;
}
