/**
 * A place that remembers values by name for a while. The name always begins with the tenant.
 * A store may forget at any time; whoever asks knows where to read the value anew.
 */
export interface Store<Value> {
	/** undefined when the value is not there or its time is over. */
	get(tenant: string, name: string): Value | undefined;
	/**
	 * `bytes` is what the value holds, as its owner accounts for it. `readAt` is the time before it was
	 * read: its age counts from there, and it is not kept if the tenant was dropped since.
	 */
	set(tenant: string, name: string, value: Value, bytes: number, readAt?: number): void;
	/** Forgets all that it has of a tenant: something of it was changed. */
	dropTenant(tenant: string): void;
}
