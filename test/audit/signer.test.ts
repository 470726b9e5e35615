import { expect, it } from "vitest";
import { createAuditSigner, createStatementReader } from "../../src/audit/signer.ts";

const signer = createAuditSigner([{ id: "test", bytes: new Uint8Array(32).fill(7) }]);
const type = "edgesign-audit-seal+jwt";

it.each([
	["as it was signed", (jws: string) => jws, { count: 1 }],
	["with a part more", (jws: string) => `${jws}.e30`, null],
	["without its signature", (jws: string) => jws.slice(0, jws.lastIndexOf(".") + 1), null],
	["with half of its signature", (jws: string) => jws.slice(0, -43), null],
	["with an empty part more", (jws: string) => `${jws}.`, null],
])(
	"reads a statement %s if it is a JWS of three parts, and nothing else",
	async (_, edit, read) => {
		const statements = await createStatementReader(await signer.publicKeys());
		const jws = await signer.sign(type, { count: 1 });
		expect(await statements(type, edit(jws))).toEqual(read);
	},
);
