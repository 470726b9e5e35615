import { BaseSequencer, type TestSpecification } from "vitest/node";

/**
 * Files that take more than some ten seconds, in the order in which they begin: those that wait stand between
 * those that compute, and none is left over for the end. A run on a fresh machine knows of no durations yet.
 */
const longest = [
	"e2e/start",
	"e2e/revocation",
	"simulation/leases",
	"e2e/revocation-crash",
	"local/neon",
	"e2e/limits",
	"e2e/faults",
	"e2e/idempotency",
	"loadtests/load",
	"local/runtime",
	"chaos/chaos",
	"db/timeouts",
	"profile/run",
	"e2e/rewrap",
	"local/redis",
	"e2e/archive",
	"loadtests/generator",
	"e2e/audit-verify",
	"e2e/benchmarks",
	"bench/leaks",
	"db/pooled",
	"cache/policies",
	"e2e/judges",
	"local/run",
	"e2e/edges",
	"local/db-advise",
	"audit/archive",
	"benchmark/runs",
	"config/config",
	"idempotency/crash",
	"jobs/spares",
	"idempotency/replay",
];

/** What waits longest first; those with an isolate of their own in between, beside the last of what is before them. */
const projects = ["node", "workerd-alone", "workerd"];

export class LongestFirst extends BaseSequencer {
	override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
		const sorted = await super.sort(files);
		const placeOf = ({ project, moduleId }: TestSpecification): number => {
			const known = longest.findIndex((name) =>
				moduleId.replace(/(\.\w+)+$/, "").endsWith(`/test/${name}`),
			);
			const place = known === -1 ? longest.length : known;
			return projects.indexOf(project.name) * (longest.length + 1) + place;
		};
		return sorted.toSorted((one, other) => placeOf(one) - placeOf(other));
	}
}
