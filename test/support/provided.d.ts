import "vitest";

declare module "vitest" {
	interface ProvidedContext {
		/** What the worker under test gets as its environment, and the owner's database for the tests themselves. */
		bindings: Record<string, string>;
		/** The folder with the worker, bundled once for all stacks of the run. */
		bundleDir: string;
		/** A data folder with PostgreSQL's files, which newDataDir copies. */
		unusedDataDir: string;
	}
}
