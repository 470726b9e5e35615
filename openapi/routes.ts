import { routes } from "../src/app.ts";
import { auditDocs } from "../src/routes/audit.ts";
import { benchmarksDocs } from "../src/routes/benchmarks.ts";
import { cacheDocs } from "../src/routes/cache.ts";
import { configDocs } from "../src/routes/config.ts";
import { documentationDocs } from "../src/routes/documentation.ts";
import { keyVersionsDocs } from "../src/routes/key-versions.ts";
import { keyLifeDocs, keysDocs } from "../src/routes/keys.ts";
import { publicDocs } from "../src/routes/public.ts";
import { type Docs, type Route, type RouteDocs, statusOf } from "../src/routes/route.ts";
import { serviceDocs } from "../src/routes/service.ts";
import { batchDocs, furtherSigningDocs, signingDocs } from "../src/routes/signing.ts";
import { tokensDocs } from "../src/routes/tokens.ts";
import { usageDocs } from "../src/routes/usage.ts";

export type DocumentedRoute = Route & RouteDocs & { readonly status: number };

const docs: Docs = {
	...signingDocs(),
	...batchDocs(),
	...furtherSigningDocs(),
	...keysDocs(),
	...keyLifeDocs(),
	...keyVersionsDocs(),
	...tokensDocs(),
	...configDocs(),
	...auditDocs(),
	...usageDocs(),
	...cacheDocs(),
	...benchmarksDocs(),
	...publicDocs(),
	...serviceDocs(),
	...documentationDocs(),
};

/** The route table with what is said of each route. A route without a word fails here, and with it every build. */
export const documentedRoutes: readonly DocumentedRoute[] = routes.map((route) => {
	const said = docs[route.id];
	if (!said) throw new TypeError(`the route ${route.id} has no documentation`);
	return { ...route, ...said, status: statusOf(route) };
});
