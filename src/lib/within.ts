/** What a call answers, or what `late` answers or throws when it takes longer: never a wait without an end. */
export async function within<T>(call: Promise<T>, milliseconds: number, late: () => T): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | null = null;
	const over = new Promise<void>((resolve) => {
		timer = setTimeout(resolve, milliseconds);
	});
	try {
		return await Promise.race([call, over.then(late)]);
	} finally {
		clearTimeout(timer);
	}
}
