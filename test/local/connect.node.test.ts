import { afterEach, expect, test, vi } from "vitest";
import { givenDatabase } from "../../local/connect.ts";
import { givenRedis } from "../../local/redis.ts";

afterEach(() => {
	vi.unstubAllEnvs();
});

test.each([
	["DATABASE_URL", givenDatabase, ["postgres://u:p@h/d", "postgresql://h/d", "/run/postgresql d"]],
	["REDIS_URL", givenRedis, ["redis://:p@127.0.0.1:6379", "rediss://h", "redis://h/0"]],
])(
	"%s is taken where it is an address, and not looked for where it is empty",
	(name, given, all) => {
		for (const url of all) {
			vi.stubEnv(name, url);
			expect(given()).toBe(url);
		}
		vi.stubEnv(name, "");
		expect(given()).toBeUndefined();
	},
);

test.each([
	["DATABASE_URL", givenDatabase, ["hunter2", "mysql://u:hunter2@h/d", "postgres://"]],
	[
		"REDIS_URL",
		givenRedis,
		["hunter2", "http://:hunter2@h", "redis://:hunter2@h:99999", "redis://h/hunter2"],
	],
])("a %s that can be none is refused at once, without a copy of it", (name, given, all) => {
	for (const url of all) {
		vi.stubEnv(name, url);
		expect(given).toThrow(new RegExp(`^${name} is no address of a `));
		expect(given).not.toThrow("hunter2");
	}
});
