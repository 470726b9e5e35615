/** Watches bodies: stands for src/routes/input.ts in the bundle (leaks.ts). */
import * as input from "../../../src/routes/input.ts";
import { watch } from "./watch.ts";

export { check } from "../../../src/routes/input.ts";

export const readJson: typeof input.readJson = async (...body) => {
	const json = await input.readJson(...body);
	if (json.ok) watch("body", json.value);
	return json;
};
