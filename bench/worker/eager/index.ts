/** The service, with all that it loads on first use loaded when it begins (economies.ts). */
import * as ed25519 from "../../../src/signing/noble-ed25519.ts";
import * as nist from "../../../src/signing/noble-nist.ts";
import * as secp256k1 from "../../../src/signing/noble-secp256k1.ts";

// Named somewhere, or the bundler leaves out what has no effect.
Object.assign(globalThis, { loadedAtOnce: [ed25519, nist, secp256k1] });

export * from "../../../src/index.ts";
export { default } from "../../../src/index.ts";
