/** `POST /begin`: the next requests find an isolate that knows nothing yet. */
export interface BeginRequest {
	/** Whether it remembers the keys that come along with its first reading. */
	readonly warming: boolean;
	/** Whether the epoch moves before: nothing that was put into Redis is found any more. */
	readonly moved: boolean;
}

/** `GET /calls`: since the isolate began. */
export interface Calls {
	/** Round trips over HTTP, of the isolate's and of the objects'. */
	readonly postgres: number;
	readonly redis: number;
	/** Reads of the isolate's memory that found no key. */
	readonly keyMisses: number;
}

/** `document` and `platform` are a tenant's JWKS, whole: from the isolate's memory, and from the platform's cache. */
export const tiers = ["memory", "redis", "object", "postgres", "document", "platform"] as const;
export type Tier = (typeof tiers)[number];

/** `POST /tier`: one key, or the JWKS, read so many times in a row from one tier. */
export interface TierRequest {
	readonly tier: Tier;
	readonly key: string;
	readonly times: number;
}

export interface TierAnswer {
	/** Of one reading. */
	readonly microseconds: number;
}
