import type { V4WorkerdStructuredLog } from "miniflare";

/** From the stack to the process that holds the runtime. */
export type ToRuntime =
	| {
			readonly type: "start";
			readonly ports: readonly number[];
			readonly vars: Readonly<Record<string, string>>;
			readonly inspectorPort?: number | undefined;
	  }
	| { readonly type: "scheduled"; readonly id: number; readonly cron: string; readonly at: number }
	| { readonly type: "stop" };

/** From that process to the stack. */
export type FromRuntime =
	| {
			readonly type: "started";
			readonly urls: readonly string[];
			readonly crons: readonly string[];
	  }
	| { readonly type: "problem"; readonly line: string; readonly forPerson: boolean }
	| { readonly type: "log"; readonly log: V4WorkerdStructuredLog }
	| { readonly type: "restarted" }
	| { readonly type: "scheduled"; readonly id: number; readonly error: string | null };
