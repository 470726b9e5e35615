import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { algorithms } from "../src/signing/algorithms.ts";
import type { Algorithm } from "../src/signing/types.ts";
import type { Plan } from "./plan.ts";
import type { MeasureRequest, Subject } from "./worker/micro/messages.ts";

const limiterId = "micro/limiter";

/** What is measured, by its id. */
export interface Wanted {
	readonly id: string;
	readonly subject: MeasureRequest["subject"];
}

export type Size = Pick<Subject, "algorithm" | "modulusLength">;

export function allSizes(): Size[] {
	return Object.values(algorithms).flatMap(({ name, modulusLengths }): Size[] =>
		modulusLengths
			? modulusLengths.map((modulusLength) => ({ algorithm: name, modulusLength }))
			: [{ algorithm: name }],
	);
}

export function nameOf({ algorithm, modulusLength }: Size): string {
	return modulusLength === undefined ? algorithm : `${algorithm}-${modulusLength}`;
}

/** The subjects of the plan, the limiter last; those of RSA with a key, which takes a process seconds to make. */
export async function wantedSubjects(plan: Plan): Promise<Wanted[]> {
	const wanted: Wanted[] = [];
	const keys = new Map<number, string>();
	for (const subject of allSubjects()) {
		const id = idOf(subject);
		if (!plan.wants(id)) continue;
		const { modulusLength: bits } = subject;
		if (bits !== undefined && !keys.has(bits)) keys.set(bits, await newRsaKey(bits));
		const key = bits === undefined ? undefined : keys.get(bits);
		wanted.push({ id, subject: { ...subject, ...(key !== undefined && { key }) } });
	}
	if (plan.wants(limiterId)) wanted.push({ id: limiterId, subject: "limiter" });
	return wanted;
}

function allSubjects(): Subject[] {
	const kinds = ({ digestBytes }: Algorithm) =>
		digestBytes === null ? (["message"] as const) : (["message", "digest"] as const);
	return allSizes().flatMap((size) =>
		kinds(algorithms[size.algorithm]).flatMap((kind) =>
			(["sign", "verify"] as const).map((job): Subject => ({ ...size, kind, job })),
		),
	);
}

function idOf(subject: Subject): string {
	const kind = subject.kind === "digest" ? "/digest" : "";
	return `micro/${nameOf(subject)}${kind}/${subject.job}`;
}

const generatePair = promisify(generateKeyPair);

/** PKCS#8 in PEM. */
async function newRsaKey(modulusLength: number): Promise<string> {
	const { privateKey } = await generatePair("rsa", { modulusLength });
	return String(privateKey.export({ type: "pkcs8", format: "pem" }));
}
