import type { PreparedKind } from "./generator/messages.ts";

/** Ten characters that are another number in each request that is sent: for names that must be new. */
export const uniqueMark = "§§§§§§§§§§";

export interface RequestShape {
	readonly method: "GET" | "POST" | "PATCH" | "PUT" | "DELETE";
	readonly path: string;
	readonly token?: string;
	readonly json?: unknown;
	/** Sent as it is, in the place of JSON. */
	readonly text?: string;
	readonly headers?: Readonly<Record<string, string>>;
}

/** One kind of request: what the report has a line for. */
export interface RequestKind {
	readonly name: string;
	/** Taken in turn. */
	readonly requests: readonly RequestShape[];
	/** Statuses that are right; every other one is an error. */
	readonly expects: readonly number[];
	/** An attacker's: thresholds that name no kind are not about it. */
	readonly hostile?: boolean;
}

/** Characters of Latin-1 are the bytes, so that a mark has as many of both. */
export function prepareKind({ name, requests, expects }: RequestKind, host: string): PreparedKind {
	const texts = requests.map((request) => toHttp(request, host));
	return {
		name,
		expects,
		requests: texts.map((text) => Buffer.from(text, "latin1")),
		uniqueAt: texts.map((text) =>
			Array.from(text.matchAll(new RegExp(uniqueMark, "g")), ({ index }) => index),
		),
	};
}

function toHttp({ method, path, token, json, text, headers = {} }: RequestShape, host: string) {
	const body = text ?? (json === undefined ? undefined : JSON.stringify(json));
	const lines = [`${method} ${path} HTTP/1.1`, `Host: ${host}`];
	if (token !== undefined) lines.push(`Authorization: Bearer ${token}`);
	if (body !== undefined) {
		lines.push("Content-Type: application/json", `Content-Length: ${body.length}`);
	}
	for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
	return `${lines.join("\r\n")}\r\n\r\n${body ?? ""}`;
}
