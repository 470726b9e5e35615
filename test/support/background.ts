/** Work that a request leaves behind, as the platform's waitUntil takes it. */
export function inBackground(work: Promise<unknown>): void {
	work.catch(() => {});
}
