/** Longest head of a response that is taken, in characters. */
const headCharsMax = 16 * 1024;

/** The server sent what this reader does not know. */
export class ProtocolError extends Error {
	override readonly name = "ProtocolError";
}

/**
 * Reads HTTP/1.1 responses off one connection, however they are cut into chunks, and tells the
 * status of each when its last byte is there. Bodies are counted, not kept; they must have a
 * Content-Length (RFC 9112 section 6.2), except where the status has none.
 * @throws ProtocolError from the returned function; the connection is of no use after that
 */
export function createResponseReader(
	onResponse: (status: number) => void,
): (chunk: Buffer) => void {
	let head = "";
	let status = 0;
	let bodyLeft = 0;
	return (chunk) => {
		let at = 0;
		while (at < chunk.length) {
			if (bodyLeft > 0) {
				const taken = Math.min(bodyLeft, chunk.length - at);
				bodyLeft -= taken;
				at += taken;
				if (bodyLeft === 0) onResponse(status);
				continue;
			}
			const before = head.length;
			head += chunk.toString("latin1", at, at + headCharsMax);
			const end = head.indexOf("\r\n\r\n");
			if (end === -1) {
				if (head.length > headCharsMax) throw new ProtocolError("a head is too long");
				return;
			}
			at += end + 4 - before;
			status = statusOf(head);
			bodyLeft = lengthOf(head.slice(0, end), status);
			head = "";
			if (bodyLeft === 0) onResponse(status);
		}
	};
}

function statusOf(head: string): number {
	const status = Number(head.slice(9, 12));
	if (head.startsWith("HTTP/1.1 ") && status >= 200 && status <= 599) return status;
	throw new ProtocolError("a response does not begin with a status line of HTTP/1.1");
}

function lengthOf(head: string, status: number): number {
	const found = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
	if (found !== undefined) return Number(found);
	if (status === 204 || status === 304) return 0;
	throw new ProtocolError("a response has no Content-Length");
}
