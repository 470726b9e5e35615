import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { createDatabase } from "../src/db/client.ts";
import { systemClock } from "../src/lib/clock.ts";
import { parseKeyEncryptionKeys } from "../src/lib/keks.ts";
import { systemRandom } from "../src/lib/random.ts";
import { createEnvelope } from "../src/signing/envelope.ts";
import { refillSpareKeys } from "../src/signing/spares.ts";

const generatePair = promisify(generateKeyPair);

async function generate(modulusLength: number) {
	const { privateKey, publicKey } = await generatePair("rsa", { modulusLength });
	const secret = new Uint8Array(privateKey.export({ type: "pkcs8", format: "der" }));
	const { n = "", e = "" } = publicKey.export({ format: "jwk" });
	return { secret, publicJwk: { kty: "RSA", n, e } as const };
}

/**
 * Fills the stock of RSA keys for the worker with these variables, some keys a run. Finding primes takes seconds: Node does
 * it in threads of its own, while workerd, which has one for all, would keep every request waiting.
 */
export async function fillSpareKeys(vars: Readonly<Record<string, string>>): Promise<void> {
	const { DATABASE_URL = "", NEON_GATEWAY = null, KEY_ENCRYPTION_KEYS = "" } = vars;
	const services = {
		db: createDatabase({ databaseUrl: DATABASE_URL, neonGateway: NEON_GATEWAY }),
		envelope: createEnvelope(parseKeyEncryptionKeys(KEY_ENCRYPTION_KEYS), systemRandom),
		clock: systemClock,
		random: systemRandom,
	};
	await refillSpareKeys(services, generate);
}
