import { type Database, isUniqueViolation } from "../db/client.ts";
import type { VersionPage } from "../db/columns.ts";
import {
	type ConfigRow,
	type ConfigVersionRow,
	configVersion,
	insertConfigVersion,
	latestConfig,
	selectConfigVersions,
} from "../db/config.ts";
import { type Failure, fail } from "../errors.ts";
import { ok, type Result } from "../lib/result.ts";
import { defaultConfig, storedConfig, type TenantConfig } from "./schema.ts";

/** A tenant's configuration at one version. Version 0 is what a tenant has that never set anything. */
export interface VersionedConfig {
	readonly version: number;
	readonly config: TenantConfig;
	/** ISO 8601 in UTC; null with version 0. */
	readonly createdAt: string | null;
	/** The id of the token that wrote it. */
	readonly createdBy: string | null;
	readonly note: string | null;
}

/** A write is made inside of `changing` (coordination/change.ts), which this folder stands below. */
type Commit = (
	write: (db: Database) => Promise<Result<VersionedConfig, Failure>>,
) => Promise<Result<VersionedConfig, Failure>>;

export interface ConfigChange {
	readonly tenant: string;
	/** The id of the token that asks for it. */
	readonly createdBy: string;
	readonly note: string | null;
	/** The versions that the change may build on; null for whichever is the current one. */
	readonly expected: readonly number[] | null;
	/** Whether it says itself that a legal hold ends, which else stays on: nobody must end one by leaving it out. */
	readonly endsHold: boolean;
	readonly commit: Commit;
}

const defaults: VersionedConfig = {
	version: 0,
	config: defaultConfig,
	createdAt: null,
	createdBy: null,
	note: null,
};

/** The current one. */
export async function readConfig(db: Database, tenant: string): Promise<VersionedConfig> {
	const row = await latestConfig(db, tenant);
	return row ? fromRow(row) : defaults;
}

export async function readConfigVersion(
	db: Database,
	tenant: string,
	version: number,
): Promise<Result<VersionedConfig, Failure>> {
	if (version === 0) return ok(defaults);
	const row = await configVersion(db, tenant, version);
	return row
		? ok(fromRow(row))
		: fail("config_version_not_found", `The configuration has no version ${version}.`);
}

/** Newest first, without their contents. Version 0 was never written, so it is not among them. */
export async function listVersions(
	db: Database,
	tenant: string,
	page: VersionPage,
): Promise<ConfigVersionRow[]> {
	return selectConfigVersions(db, tenant, page);
}

/**
 * Replaces the whole configuration by a new version. One that equals the current version makes none,
 * but is committed like any other: a repeat after a lost answer gets the same promise.
 */
export async function putConfig(
	config: TenantConfig,
	change: ConfigChange,
): Promise<Result<VersionedConfig, Failure>> {
	return change.commit((db) => write(db, config, change));
}

/** A new version with the content of an old one: what was between them stays on record. */
export async function rollback(
	db: Database,
	version: number,
	change: ConfigChange,
): Promise<Result<VersionedConfig, Failure>> {
	const old = await readConfigVersion(db, change.tenant, version);
	if (!old.ok) return old;
	const note = change.note ?? `Rollback to version ${version}`;
	return putConfig(old.value.config, { ...change, note });
}

async function write(
	db: Database,
	proposed: TenantConfig,
	{ tenant, createdBy, note, expected, endsHold }: ConfigChange,
): Promise<Result<VersionedConfig, Failure>> {
	const current = await readConfig(db, tenant);
	const isHeld = current.config.audit_config.legal_hold && !endsHold;
	const config = isHeld ? held(proposed) : proposed;
	if (expected && !expected.includes(current.version)) return stale(`is ${current.version}`);
	// The first PUT is stored even if it equals the defaults: it holds them against a release with others.
	if (current.version > 0 && areEqual(current.config, config)) return ok(current);
	const version = current.version + 1;
	try {
		return ok(fromRow(await insertConfigVersion(db, tenant, { version, config, createdBy, note })));
	} catch (error) {
		if (!isUniqueViolation(error, "config_versions_pkey")) throw error;
		if (expected) return stale(`became ${version} meanwhile`);
		const detail = `Version ${version} was written by another request meanwhile. Read it, and try again.`;
		return fail("concurrent_change", detail);
	}
}

function held(config: TenantConfig): TenantConfig {
	return { ...config, audit_config: { ...config.audit_config, legal_hold: true } };
}

function stale(what: string) {
	const detail = `The version of the configuration ${what}, which If-Match does not name. Read it, and decide anew.`;
	return fail("precondition_failed", detail);
}

/** Both come from the schema, which puts their fields in one order. */
function areEqual(a: TenantConfig, b: TenantConfig): boolean {
	return JSON.stringify(a) === JSON.stringify(b);
}

function fromRow(row: ConfigRow): VersionedConfig {
	return {
		version: row.version,
		config: storedConfig.parse(row.config),
		createdAt: row.created_at,
		createdBy: row.created_by,
		note: row.note,
	};
}
