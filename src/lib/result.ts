/**
 * The outcome of a domain function: a value, or the reason there is none.
 * Domain code returns these; only the edge of HTTP turns a failure into a status.
 */
export type Result<T, E> = { readonly ok: true; readonly value: T } | Err<E>;

export interface Err<E> {
	readonly ok: false;
	readonly error: E;
}

export function ok<T>(value: T): { readonly ok: true; readonly value: T } {
	return { ok: true, value };
}

export function err<E>(error: E): Err<E> {
	return { ok: false, error };
}
