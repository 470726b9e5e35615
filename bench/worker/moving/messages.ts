/** What was appended to an object, and has not moved yet. */
export interface Filled {
	readonly tenant: string;
	/** The record that is moved after all others; `at` in milliseconds since the epoch. */
	readonly last: { readonly id: string; readonly at: number };
	/** That the object's storage grew by. */
	readonly objectBytes: number;
}
