/** Longest head of a response that is taken, in characters. */
const headCharsMax = 16 * 1024;
/** Of the body of a refusal, where its code is looked for. */
const problemCharsMax = 2 * 1024;
const lineBreak = "\r\n";

/** The server sent what this reader does not know. */
export class ProtocolError extends Error {
	override readonly name = "ProtocolError";
}

/**
 * Reads HTTP/1.1 responses off one connection, however they are cut into chunks, and tells the
 * status of each when its last byte is there, the `code` of a refusal (RFC 9457) that has one, and whether
 * the server closes the connection after it (RFC 9112 section 9.6). Bodies are counted, not kept; they have
 * a Content-Length or are chunked (section 6), except where the status has none. Interim answers (1xx) are
 * passed over.
 * @throws ProtocolError from the returned function; the connection is of no use after that
 */
export function createResponseReader(
	onResponse: (status: number, code: string | null, isLast: boolean) => void,
): (chunk: Buffer) => void {
	let text = ""; // of a head, or of a line between chunks, that is not all there yet
	let status = 0;
	let bodyLeft = 0;
	let isChunked = false;
	let isLast = false;
	let problem = "";

	/** Text up to the separator, or null while it is not there; and where it ends in the chunk. */
	const upTo = (separator: string, chunk: Buffer, at: number): [string | null, number] => {
		const before = text.length;
		text += chunk.toString("latin1", at, at + headCharsMax);
		const end = text.indexOf(separator);
		if (end === -1) {
			if (text.length > headCharsMax) throw new ProtocolError("a head is too long");
			return [null, chunk.length];
		}
		const found = text.slice(0, end);
		text = "";
		return [found, at + end + separator.length - before];
	};
	const beginBody = (head: string) => {
		status = statusOf(head);
		if (status < 200) return;
		isLast = isLastIn(head);
		problem = "";
		isChunked = isChunkedIn(head);
		if (isChunked) return;
		bodyLeft = lengthOf(head, status);
		if (bodyLeft === 0) onResponse(status, null, isLast);
	};
	/** A chunk with the line break behind it; the last one is empty, and a line break follows. */
	const beginChunk = (line: string) => {
		const size = chunkSizeOf(line);
		isChunked = size > 0;
		bodyLeft = size + lineBreak.length;
	};

	return (chunk) => {
		let at = 0;
		while (at < chunk.length) {
			if (bodyLeft > 0) {
				const taken = Math.min(bodyLeft, chunk.length - at);
				bodyLeft -= taken;
				if (status >= 400 && problem.length < problemCharsMax) {
					problem += chunk.toString("latin1", at, Math.min(at + taken, at + problemCharsMax));
				}
				at += taken;
				if (bodyLeft === 0 && !isChunked) onResponse(status, codeIn(problem), isLast);
				continue;
			}
			const [found, next] = upTo(isChunked ? lineBreak : lineBreak + lineBreak, chunk, at);
			at = next;
			if (found === null) return;
			if (isChunked) beginChunk(found);
			else beginBody(found);
		}
	};
}

function codeIn(problem: string): string | null {
	return /"code":\s*"([a-z_]{1,64})"/.exec(problem)?.[1] ?? null;
}

/** 101 is refused: after it the connection speaks another protocol, which nobody asked for. */
function statusOf(head: string): number {
	const status = Number(head.slice(9, 12));
	const isKnown = status >= 100 && status <= 599 && status !== 101;
	if (head.startsWith("HTTP/1.1 ") && isKnown) return status;
	throw new ProtocolError("a response does not begin with a status line of HTTP/1.1");
}

function lengthOf(head: string, status: number): number {
	const found = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
	if (found !== undefined) return Number(found);
	if (status === 204 || status === 304) return 0;
	throw new ProtocolError("a response has no Content-Length");
}

function isLastIn(head: string): boolean {
	return /\r\nconnection:[^\r]*\bclose\b/i.test(head);
}

function isChunkedIn(head: string): boolean {
	return /\r\ntransfer-encoding: *chunked/i.test(head);
}

/** Extensions behind the size are passed over; trailers are not known here. */
function chunkSizeOf(line: string): number {
	const size = /^([0-9a-f]{1,8})\s*(;.*)?$/i.exec(line)?.[1];
	if (size === undefined) throw new ProtocolError("a chunk does not begin with its size");
	return Number.parseInt(size, 16);
}
