import type { V4WorkerdStructuredLog } from "miniflare";
import type { Runtime } from "./runtime.ts";

/** From the stack to the process that holds the runtime. */
export type ToRuntime =
	| {
			readonly type: "start";
			readonly ports: readonly number[];
			readonly vars: Readonly<Record<string, string>>;
			readonly inspectorPort?: number | undefined;
	  }
	| {
			readonly type: "scheduled";
			readonly id: number;
			readonly cron: string;
			readonly at: number;
			readonly worker?: string | undefined;
	  }
	| { readonly type: "stop" };

/** From that process to the stack. */
export type FromRuntime =
	| {
			readonly type: "started";
			readonly urls: readonly string[];
			readonly crons: Runtime["crons"];
	  }
	| { readonly type: "problem"; readonly line: string; readonly forPerson: boolean }
	| { readonly type: "log"; readonly log: V4WorkerdStructuredLog }
	| { readonly type: "restarted" }
	| { readonly type: "scheduled"; readonly id: number; readonly error: string | null };
