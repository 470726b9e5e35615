import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { limits } from "./limits.ts";
import { outermost, phaseBelow } from "./phases.ts";
import { type ProfileReport, percent, whereOf } from "./report.ts";
import { type CallNode, pseudo } from "./tree.ts";

/** A call as the page reads it: number of its name, of its place, of its phase, its own µs, its calls. */
type FlameNode = readonly [
	name: number,
	where: number,
	phase: number,
	ownUs: number,
	children: readonly FlameNode[],
];

interface FlameData {
	readonly texts: readonly string[];
	readonly phases: readonly string[];
	readonly requests: number;
	readonly calls: readonly FlameNode[];
}

/** One HTML file with all that it needs: the tables of the report, and the flame graph to zoom and search in. */
export async function flamePage(tree: CallNode, report: ProfileReport): Promise<string> {
	const [page, style, script] = await Promise.all(
		["page.html", "page.css", "page.js"].map((name) =>
			readFile(join(import.meta.dirname, "page", name), "utf8"),
		),
	);
	const parts: Readonly<Record<string, string>> = {
		style: `<style>${style}</style>`,
		script: `<script>${script}</script>`,
		facts: factsOf(report),
		phases: phaseRows(report),
		functions: functionRows(report),
		data: `<script id="data" type="application/json">${escapeJson(flameData(tree, report))}</script>`,
	};
	return (page ?? "").replace(/<!-- (\w+) -->/g, (_, name: string) => parts[name] ?? "");
}

/** The calls without the idle time and without what is too short to be seen. */
export function flameData(
	tree: CallNode,
	{ requests, busyUs, phases }: Pick<ProfileReport, "requests" | "busyUs" | "phases">,
): FlameData {
	const texts: string[] = [];
	const numbers = new Map<string, number>();
	const phaseNames = phases.map(({ name }) => name);
	const numberOf = (text: string) => {
		const number = numbers.get(text) ?? texts.push(text) - 1;
		numbers.set(text, number);
		return number;
	};
	const leastUs = busyUs * limits.flameShareMin;
	const toFlame = ({ place, totalUs, children }: CallNode, above: string): FlameNode => {
		const phase = phaseBelow(above, place);
		const shown = children.filter((child) => child.totalUs >= leastUs);
		const calls = shown.map((child) => toFlame(child, phase));
		// What is too short to be shown stands as the caller's own.
		const ownUs = Math.round(totalUs - shown.reduce((sum, child) => sum + child.totalUs, 0));
		const where = numberOf(whereOf(place));
		return [numberOf(place.name), where, phaseNames.indexOf(phase), ownUs, calls];
	};
	const calls = tree.children
		.filter(({ place, totalUs }) => place.name !== pseudo.idle && totalUs >= leastUs)
		.map((child) => toFlame(child, outermost));
	return { texts, phases: phaseNames, requests, calls };
}

function factsOf({
	scenario,
	at,
	machine,
	requests,
	perSecond,
	busyUs,
	idleUs,
	samples,
	heap,
	command,
}: ProfileReport): string {
	const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
	const facts = {
		Scenario: scenario,
		When: at,
		Command: command,
		Machine: `${machine.processor}, ${machine.cores} cores, load before ${machine.loadBefore}`,
		Requests: `${requests.toLocaleString("en-US")}, ${Math.round(perSecond).toLocaleString("en-US")} a second`,
		Thread: `busy ${percent(busyUs / (busyUs + idleUs))}, ${samples.toLocaleString("en-US")} samples`,
		Heap: `${mebibytes(heap.before.usedSize)} before, ${mebibytes(heap.after.usedSize)} after`,
	};
	return Object.entries(facts)
		.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeHtml(value)}</dd></div>`)
		.join("\n");
}

function phaseRows({ phases }: ProfileReport): string {
	const most = Math.max(...phases.map(({ share }) => share));
	return phases
		.map(({ name, usPerRequest, share, mostly }, number) => {
			const bar = `<i class="bar" style="inline-size:${((100 * share) / most).toFixed(1)}%"></i>`;
			return `<tr data-phase="${number}" tabindex="0"><th scope="row">${escapeHtml(name)}</th><td>${usPerRequest.toFixed(2)}</td><td>${percent(share)}</td><td class="wide">${bar}<small>${escapeHtml(mostly.join(", "))}</small></td></tr>`;
		})
		.join("\n");
}

function functionRows({ functions }: ProfileReport): string {
	return functions
		.map(({ name, self, total, ...place }) => {
			const cells = [self, total].map(
				(cost) => `<td>${cost.usPerRequest.toFixed(2)}</td><td>${percent(cost.share)}</td>`,
			);
			return `<tr><th scope="row"><code>${escapeHtml(name)}</code><small>${escapeHtml(whereOf(place))}</small></th>${cells.join("")}</tr>`;
		})
		.join("\n");
}

function escapeHtml(text: string): string {
	return text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** No text of it ends the element that it stands in. */
function escapeJson(value: unknown): string {
	return JSON.stringify(value).replaceAll("<", "\\u003c");
}
