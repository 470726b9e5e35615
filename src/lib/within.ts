/** What a call answers, or whatever `late` makes an error of when it takes longer: never a wait without an end. */
export async function within<T>(
	call: Promise<T>,
	milliseconds: number,
	late: () => Error,
): Promise<T> {
	let timer: ReturnType<typeof setTimeout> | null = null;
	const timeout = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(late()), milliseconds);
	});
	try {
		return await Promise.race([call, timeout]);
	} finally {
		clearTimeout(timer);
	}
}
