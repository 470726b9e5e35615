import { Hono } from "hono";

/** What the service's routes are measured beside: a route that does nothing, and one that reads JSON. */
const app = new Hono();
app.get("/", (context) => context.text("ok"));
app.post("/", async (context) => {
	await context.req.json();
	return context.text("ok");
});

export default app;
