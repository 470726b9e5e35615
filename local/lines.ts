const lineFeed = 0x0a;

/**
 * The lines of UTF-8, each ended by a line feed alone: a text in JSON may have any other character that
 * ends a line elsewhere (U+2028, U+2029). null for a line that is too long to be held, or no UTF-8.
 */
export async function* linesOf(
	stream: AsyncIterable<Uint8Array>,
	maxBytes: number,
): AsyncGenerator<string | null> {
	let parts: Uint8Array[] = [];
	let length = 0;

	function take(part: Uint8Array): void {
		length += part.length;
		if (length <= maxBytes) parts.push(part);
		else parts = [];
	}

	function line(): string | null {
		const text = length <= maxBytes ? decoded(parts) : null;
		parts = [];
		length = 0;
		return text;
	}

	for await (const chunk of stream) {
		let from = 0;
		for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, from)) {
			take(chunk.subarray(from, end));
			yield line();
			from = end + 1;
		}
		take(chunk.subarray(from));
	}
	if (length > 0) yield line();
}

/** A byte order mark stays, so that no two lines have the same text. */
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function decoded(parts: readonly Uint8Array[]): string | null {
	try {
		return decoder.decode(Buffer.concat(parts));
	} catch {
		return null;
	}
}
