const charsMax = 100;
const barChars = 30;
/** In a file or a pipe there is nothing to write over: a line now and then says that work goes on. */
const lineEveryMs = 30_000;

let toldAt = performance.now();

/** Tells on stderr how long work goes: a terminal has one line that is written over, and none after "". */
export function showProgress(line: string): void {
	if (process.stderr.isTTY) {
		process.stderr.write(`\r\x1b[2K${line.slice(0, charsMax)}`);
	} else if (line !== "" && performance.now() - toldAt >= lineEveryMs) {
		toldAt = performance.now();
		process.stderr.write(`${line}\n`);
	}
}

/** `[####......] what`, with nothing filled where nobody knows how much there is. */
export function progressBar(done: number, total: number | null, what: string): string {
	const filled = total === null ? 0 : Math.round((barChars * done) / Math.max(1, total));
	return `[${"#".repeat(filled).padEnd(barChars, ".")}] ${what}`;
}
