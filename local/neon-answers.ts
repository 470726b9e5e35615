import pg from "pg";
import { inOneLine } from "./problem.ts";

const { builtins } = pg.types;

/** A request that is refused before PostgreSQL has a say. */
export class RequestError extends Error {
	override readonly name = "RequestError";
	readonly status: number;
	constructor(status: number, message: string) {
		super(message);
		this.status = status;
	}
}

/** The values of a result as they are to be sent, and how many characters may still follow. */
export interface Output {
	/** Every value as PostgreSQL's text; otherwise numbers, booleans, JSON and arrays as JSON has them. */
	readonly rawText: boolean;
	readonly arrayMode: boolean;
	charactersLeft: number;
	/** Called once, when the result has grown too large. */
	onTooLarge(): void;
}

/** What `pg` should do with each value of a result. Throwing makes it drop the rows that follow. */
export function typesFor(output: Output): pg.CustomTypesConfig {
	const read = (oid: number) => (text: string) => {
		output.charactersLeft -= text.length;
		if (output.charactersLeft < 0) {
			output.onTooLarge();
			throw new RequestError(507, "response is too large");
		}
		return output.rawText ? text : jsonOf(oid, text);
	};
	return { getTypeParser: read };
}

/** The members of a result that the driver reads, in Neon's form. */
export function resultOf(result: pg.QueryArrayResult, arrayMode: boolean): object {
	const names = result.fields.map(({ name }) => name);
	return {
		fields: result.fields,
		rows: arrayMode
			? result.rows
			: result.rows.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i]]))),
		command: result.command ?? "", // null for an empty query
		rowCount: result.rowCount,
		rowAsArray: arrayMode,
	};
}

const arrayElements: Readonly<Record<number, number>> = {
	1000: builtins.BOOL,
	1005: builtins.INT2,
	1007: builtins.INT4,
	1016: builtins.INT8,
	1021: builtins.FLOAT4,
	1022: builtins.FLOAT8,
	199: builtins.JSON,
	3807: builtins.JSONB,
	1009: builtins.TEXT,
	1015: builtins.VARCHAR,
	1231: builtins.NUMERIC,
	1115: builtins.TIMESTAMP,
	1185: builtins.TIMESTAMPTZ,
	2951: builtins.UUID,
};

/** Without Neon-Raw-Text-Output: what JSON can say without loss is said in JSON. */
function jsonOf(oid: number, text: string): unknown {
	const element = arrayElements[oid];
	if (element !== undefined) return itemsOf(element, textArray(text));
	switch (oid) {
		case builtins.BOOL:
			return text === "t";
		case builtins.INT2:
		case builtins.INT4:
			return Number(text);
		case builtins.FLOAT4:
		case builtins.FLOAT8:
			return Number.isFinite(Number(text)) ? Number(text) : text;
		case builtins.JSON:
		case builtins.JSONB:
			return JSON.parse(text);
		default:
			return text;
	}
}

const textArray = pg.types.getTypeParser(1009 as Parameters<typeof pg.types.getTypeParser>[0]); // text[]

function itemsOf(element: number, item: unknown): unknown {
	if (Array.isArray(item)) return item.map((inner) => itemsOf(element, inner));
	return typeof item === "string" ? jsonOf(element, item) : item;
}

const errorFields = [
	"code",
	"detail",
	"hint",
	"position",
	"internalPosition",
	"internalQuery",
	"severity",
	"where",
	"table",
	"column",
	"schema",
	"dataType",
	"constraint",
	"file",
	"line",
	"routine",
] as const;

/** The body of a failure: Postgres' own fields where it is Postgres that refused, else nulls. */
export function errorBody(error: unknown, message = inOneLine(error)): string {
	const known = error instanceof pg.DatabaseError ? error : undefined;
	const fields = errorFields.map((field) => [field, known?.[field] ?? null] as const);
	return JSON.stringify({ message: known?.message ?? message, ...Object.fromEntries(fields) });
}
