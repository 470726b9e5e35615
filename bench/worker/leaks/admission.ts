/** Watches who is let in: stands for src/routes/admission.ts in the bundle (leaks.ts). */
import * as admission from "../../../src/routes/admission.ts";
import { watch } from "./watch.ts";

export {
	holds,
	lapsed,
	limitAddress,
	limitLookUp,
	operationFor,
	readmit,
	spend,
} from "../../../src/routes/admission.ts";

export const admit: typeof admission.admit = async (...request) => {
	const admitted = await admission.admit(...request);
	if (admitted.ok) watch("admitted", admitted.value);
	return admitted;
};
