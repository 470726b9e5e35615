/** Watches what a pool lends: stands for src/db/pooled.ts in the bundle (leaks.ts). */
import * as pooled from "../../../src/db/pooled.ts";
import { watch } from "./watch.ts";

export const connectPool: typeof pooled.connectPool = (...address) => {
	const pool = pooled.connectPool(...address);
	return {
		...pool,
		query: (statement, params) => pool.query(statement, watch("loan", [...params])),
		transaction: (calls) => pool.transaction(watch("loan", [...calls])),
		withTransaction: (name, work, timeoutMs) =>
			pool.withTransaction(name, (tx) => work(watch("loan", tx)), timeoutMs),
	};
};
