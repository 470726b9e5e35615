import { fromBase64 } from "./bytes.ts";

export interface KeyEncryptionKey {
	readonly id: string;
	readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Thrown once at start-up, before anything is served. Names the variable and the rule, never the value. */
export class ConfigError extends Error {
	override readonly name = "ConfigError";
}

const kekIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** `id:base64,id:base64` or the same a line each; ids are unique, keys are 32 bytes. */
export function parseKeyEncryptionKeys(
	text: string,
): readonly [KeyEncryptionKey, ...KeyEncryptionKey[]] {
	const keys = text
		.split(/[\s,]+/)
		.filter((part) => part !== "")
		.map((part, index) => {
			const colon = part.indexOf(":");
			const id = part.slice(0, Math.max(0, colon));
			const bytes = fromBase64(part.slice(colon + 1));
			if (!kekIdPattern.test(id) || bytes?.length !== 32) {
				throw new ConfigError(
					`KEY_ENCRYPTION_KEYS: entry ${index + 1} must be an id (letters, digits, ".", "_", "-"), a colon and 32 bytes in base64`,
				);
			}
			return { id, bytes };
		});
	if (new Set(keys.map((key) => key.id)).size < keys.length) {
		throw new ConfigError("KEY_ENCRYPTION_KEYS: an id stands there twice");
	}
	const [newest, ...older] = keys;
	if (!newest) throw new ConfigError("KEY_ENCRYPTION_KEYS is empty");
	return [newest, ...older];
}
