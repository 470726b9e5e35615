/** A chain that Postgres has up to a record. */
export interface Adopted {
	readonly tenant: string;
	/** The name of its object. */
	readonly place: string;
	readonly id: string;
	readonly sequence: number;
	/** Of the last record, in base64. */
	readonly link: string;
}
