import { escapeHtml } from "./escape.ts";

/** A line of a chart. `points` go by their `x`; null is a gap. */
export interface Line {
	readonly name: string;
	/** A class of the style sheet that has its colour. */
	readonly className: string;
	readonly points: readonly (readonly [x: number, y: number | null])[];
	readonly isFilled?: boolean;
}

export interface Chart {
	readonly title: string;
	/** Behind a value, as in "12 ms". */
	readonly unit: string;
	readonly lines: readonly Line[];
	/** Logarithmic upwards: for latencies, whose tail is what matters. */
	readonly isLogarithmic?: boolean;
	/** Vertical lines with a word, by x. */
	readonly marks?: readonly { readonly x: number; readonly text: string }[];
	/** Shaded stretches, as phases that are not measured. */
	readonly shades?: readonly { readonly from: number; readonly to: number }[];
	readonly xMax: number;
	readonly xUnit: string;
}

const width = 920;
const height = 220;
const left = 58;
const right = 12;
const top = 14;
const bottom = 26;
const plotWidth = width - left - right;
const plotHeight = height - top - bottom;
const ticksWanted = 4;
/** Words beside marks stand in rows, so that neighbours do not cover each other. */
const markRows = 6;
const markRowHeight = 12;

interface Scale {
	readonly ticks: readonly number[];
	/** From the top of the picture. */
	place(value: number): number;
}

/** An SVG that stands for itself: no script, no font, no file. Colours come from the page's style. */
export function drawChart(chart: Chart): string {
	const { lines, marks = [], shades = [], xMax } = chart;
	const values = lines.flatMap(({ points }) => points.flatMap(([, y]) => y ?? []));
	const scale = chart.isLogarithmic ? logarithmic(values) : linear(values);
	const x = (value: number) => left + (plotWidth * Math.max(0, value)) / Math.max(xMax, 1e-9);
	const shapes = [
		...shades.map(({ from, to }) => {
			const begin = x(from);
			return `<rect class="shade" x="${round(begin)}" y="${top}" width="${round(Math.max(0, x(Math.min(to, xMax)) - begin))}" height="${plotHeight}"/>`;
		}),
		...scale.ticks.map((tick) => gridLine(scale.place(tick), tickLabel(tick))),
		...xTicks(xMax).map(
			(tick) =>
				`<text class="tick" x="${round(x(tick))}" y="${height - 8}" text-anchor="middle">${tickLabel(tick)}${chart.xUnit}</text>`,
		),
		...lines.map((line) => drawLine(line, x, scale)),
		...marks.map(
			({ x: at, text }, index) =>
				`<g class="mark"><line x1="${round(x(at))}" x2="${round(x(at))}" y1="${top}" y2="${top + plotHeight}"/><text x="${round(x(at) + 3)}" y="${top + 10 + markRowHeight * (index % markRows)}">${escapeHtml(text)}</text></g>`,
		),
	];
	return `<figure><figcaption><b>${escapeHtml(chart.title)}</b>${legend(chart)}</figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(chart.title)}">${shapes.join("")}</svg></figure>`;
}

function legend({ lines, unit }: Chart): string {
	const entries = lines.map(
		({ name, className }) => `<span class="key ${className}"><i></i>${escapeHtml(name)}</span>`,
	);
	return `<span class="legend">${entries.join("")}<span class="unit">${escapeHtml(unit)}</span></span>`;
}

function gridLine(y: number, label: string): string {
	return `<line class="grid" x1="${left}" x2="${width - right}" y1="${round(y)}" y2="${round(y)}"/><text class="tick" x="${left - 7}" y="${round(y + 3.5)}" text-anchor="end">${label}</text>`;
}

function drawLine(
	{ points, className, isFilled }: Line,
	x: (value: number) => number,
	scale: Scale,
) {
	const pieces: string[] = [];
	let piece: [number, number][] = [];
	const end = () => {
		const [first] = piece;
		const last = piece.at(-1);
		if (first && last) {
			const path = piece.map(([px, py]) => `${round(px)} ${round(py)}`).join("L");
			const floor = top + plotHeight;
			if (isFilled) {
				pieces.push(
					`<path class="area ${className}" d="M${round(first[0])} ${floor}L${path}L${round(last[0])} ${floor}Z"/>`,
				);
			}
			// A point between two gaps has no length: a round cap shows it.
			pieces.push(
				`<path class="line ${className}" d="M${path}${piece.length === 1 ? "h0" : ""}"/>`,
			);
		}
		piece = [];
	};
	for (const [px, py] of points) {
		if (py === null) end();
		else piece.push([x(px), scale.place(py)]);
	}
	end();
	return pieces.join("");
}

/** From zero, to the next round number. */
function linear(values: readonly number[]): Scale {
	const most = values.reduce((a, b) => Math.max(a, b), 0) || 1;
	const step = niceStep(most / ticksWanted);
	const count = Math.ceil(most / step - 1e-9);
	return {
		ticks: Array.from({ length: count + 1 }, (_, index) => index * step),
		place: (value) => top + plotHeight * (1 - value / (count * step)),
	};
}

/** Whole powers of ten around the values. */
function logarithmic(values: readonly number[]): Scale {
	const positive = values.filter((value) => value > 0);
	if (positive.length === 0) return linear([]);
	const low = Math.floor(Math.log10(positive.reduce((a, b) => Math.min(a, b))));
	const high = Math.max(low + 1, Math.ceil(Math.log10(positive.reduce((a, b) => Math.max(a, b)))));
	return {
		ticks: Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)),
		place(value) {
			const share = (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low);
			return top + plotHeight * (1 - share);
		},
	};
}

function xTicks(most: number): number[] {
	const step = niceStep(most / 8);
	return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);
}

/** 1, 2 or 5 times a power of ten, and not less than the value. */
function niceStep(value: number): number {
	const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
	return power * ([1, 2, 5, 10].find((factor) => factor * power >= value * 0.999999) ?? 10);
}

/** Ticks are round numbers: they need no zeros behind the point. */
function tickLabel(value: number): string {
	return Number(value.toPrecision(3)).toLocaleString("en-US", { maximumFractionDigits: 6 });
}

function round(value: number): number {
	return Math.round(value * 10) / 10;
}
