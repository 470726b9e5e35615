import { allStatements } from "../src/db/all.ts";
import type { QueryEvent } from "../src/db/statistics.ts";
import type { Finding } from "./advice.ts";

/** What the service's own log says of its statements. */
export class LogAdvice {
	/** Requests by route and statement, and how often the worst of them asked. */
	readonly #repeated = new Map<string, { requests: number; most: number }>();
	readonly #slow = new Map<string, { times: number; slowestMs: number }>();

	/** A line of the log; what is none, and events of other things, are passed over. */
	line(text: string): void {
		const event = eventOf(text);
		if (event?.event === "repeated_query") {
			const name = `${event.route} ${event.statement}`;
			const { requests, most } = this.#repeated.get(name) ?? { requests: 0, most: 0 };
			this.#repeated.set(name, { requests: requests + 1, most: Math.max(most, event.calls) });
		}
		if (event?.event === "slow_query") {
			const { times, slowestMs } = this.#slow.get(event.statement) ?? { times: 0, slowestMs: 0 };
			const slowest = Math.max(slowestMs, event.milliseconds);
			this.#slow.set(event.statement, { times: times + 1, slowestMs: slowest });
		}
	}

	findings(): Finding[] {
		const repeated = [...this.#repeated].map(([name, { requests, most }]): Finding => {
			const [route = "", statement = ""] = name.split(" ");
			const why = `${requests} requests of ${route} asked it up to ${most} times each`;
			return {
				kind: "n+1",
				subject: statement,
				why,
				run: `${shapeOf(statement)} -- for all in one: = any($n)`,
			};
		});
		const slow = [...this.#slow].map(([statement, { times, slowestMs }]): Finding => {
			const why = `slow ${times} times, ${Math.round(slowestMs)} ms at the worst`;
			return {
				kind: "slow",
				subject: statement,
				why,
				run: explained(statement),
			};
		});
		return [...repeated, ...slow];
	}
}

/** Rolled back, for to explain what it does it is done; a transaction's statements one after the other. */
function explained(names: string): string {
	const each = names.split(", ").map((name) => `explain (analyze, buffers) ${shapeOf(name)};`);
	return ["begin;", ...each, "rollback;"].join(" ");
}

/** The statement on one line, or its name where another release had it. */
function shapeOf(name: string): string {
	const found = allStatements.find((statement) => statement.name === name);
	if (!found) return name;
	const steps = found.with === undefined ? "" : `with ${found.with} `;
	return `${steps}${found.text}`.replace(/\s+/g, " ").trim();
}

function eventOf(text: string): QueryEvent | null {
	const begins = text.indexOf("{");
	if (begins === -1 || !text.includes('"event"')) return null;
	try {
		return JSON.parse(text.slice(begins)) as QueryEvent;
	} catch {
		return null;
	}
}
