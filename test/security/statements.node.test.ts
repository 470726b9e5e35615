import { expect, it } from "vitest";
import { allStatements } from "../../src/db/all.ts";

/** Of no tenant, or of all of them: jobs, the operator's commands, and what a request asks of nobody's rows. */
const ofNoTenant = [
	"alerts.purge",
	"archives.close",
	"archives.drop",
	"archives.expirable",
	"archives.nextTenant",
	"archives.oldest",
	"audit.ensurePartitions",
	"benchmarks.claimDue",
	"benchmarks.purge",
	"changes.inTime",
	"effects.purge",
	"keys.due",
	"outbox.due",
	"outbox.settle",
	"sealed.counts",
	"sealed.replace",
	"sealed.under",
	"service.ping",
	"spares.count",
	"spares.dropOld",
	"spares.insert",
	"spares.take",
	"usage.purge",
];

/** The tenant is the first parameter, but stands in no condition of that form: new rows, or the tenant's own. */
const otherForms = [
	"alerts.raise",
	"archives.begin",
	"audit.insert",
	"benchmarks.insert",
	"config.insert",
	"effects.shut",
	"keys.insert",
	"tenants.exists",
	"tenants.note",
];

it("every other statement asks for the rows of the tenant that is its first parameter", () => {
	const others = allStatements
		.filter(({ with: before = "", text }) => !/\btenant_id = \$1\b/.test(`${before} ${text}`))
		.map(({ name }) => name);
	expect(others.sort()).toEqual([...ofNoTenant, ...otherForms].sort());
});
