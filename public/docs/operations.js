/** One flat list of what the OpenAPI document offers, in the order of its tags. */
export function operationsOf(document) {
	const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
		Object.entries(methods).map(([method, operation]) => readOperation(path, method, operation)),
	);
	const order = document.tags.map(({ name }) => name);
	return operations.sort((a, b) => order.indexOf(a.tag) - order.indexOf(b.tag));
}

function readOperation(path, method, operation) {
	const body = operation.requestBody?.content["application/json"];
	const responses = Object.entries(operation.responses);
	return {
		id: operation.operationId,
		method: method.toUpperCase(),
		path,
		tag: operation.tags[0],
		summary: operation.summary,
		description: operation.description,
		/** The roles that may call it; null where no token is needed. */
		roles: operation.security.length > 0 ? (operation["x-roles"] ?? []) : null,
		parameters: operation.parameters ?? [],
		bodySchema: body?.schema,
		bodies: Object.values(body?.examples ?? {}).map(({ value }) => value),
		example: { params: {}, query: {}, ...operation["x-example"] },
		answers: responses.filter(([status]) => status < "300").map(readAnswer),
		problems: responses.filter(([status]) => status >= "300").map(readProblem),
	};
}

function readAnswer([status, { description, content }]) {
	const [type, media] = Object.entries(content ?? {})[0] ?? [];
	return { status, description, type, schema: media?.schema };
}

/** A status' description names its codes in backticks. */
function readProblem([status, { description }]) {
	return { status, codes: [...description.matchAll(/`(\w+)`/g)].map(([, code]) => code) };
}
