// The flame graph: every call is a box as wide as its time, under the call that made it.
{
	const rowHeight = 19;
	const narrowest = 0.6; // pixels of a box that is still drawn
	const roomForText = 28;
	const { texts, phases, requests, calls } = JSON.parse(
		document.getElementById("data").textContent,
	);
	const canvas = document.getElementById("flame");
	const pen = canvas.getContext("2d");
	const tip = document.getElementById("tip");
	const search = document.getElementById("search");
	const matched = document.getElementById("matched");
	const reset = document.getElementById("reset");
	const rows = [...document.querySelectorAll("#phases tbody tr")];

	/** Every call with its place: `from` and `time` in microseconds, `depth` in rows. */
	const boxes = [];
	const whole = { name: "all", where: "", from: 0, time: 0, own: 0, depth: -1, parent: null };
	const settle = ([name, where, phase, own, children], parent, from) => {
		const box = { name: texts[name], where: texts[where], phase, own, parent, from };
		box.depth = parent.depth + 1;
		boxes.push(box);
		let end = from;
		for (const child of children) end += settle(child, box, end);
		box.time = end - from + own;
		return box.time;
	};
	for (const call of calls) whole.time += settle(call, whole, whole.time);
	const depth = Math.max(...boxes.map((box) => box.depth)) + 1;

	let focus = whole;
	let wanted = "";
	let onlyPhase = null;

	const fits = (box) =>
		(onlyPhase === null || box.phase === onlyPhase) &&
		(wanted === "" || `${box.name} ${box.where}`.toLowerCase().includes(wanted));
	const share = (time) => `${((100 * time) / whole.time).toFixed(1)} %`;
	const each = (time) => `${(time / requests).toFixed(2)} µs`;
	const look = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
	const hueOf = (phase) => (phase * 137.5 + 40) % 360; // the golden angle: neighbours differ
	const isWithin = (box, outer) => {
		for (let at = box; at; at = at.parent) if (at === outer) return true;
		return false;
	};

	/** Where a box is on the canvas, or null when it is out of sight. */
	function place(box, width) {
		if (isWithin(focus, box)) return { x: 0, w: width };
		const x = ((box.from - focus.from) / focus.time) * width;
		const w = (box.time / focus.time) * width;
		return w < narrowest || x >= width || x + w <= 0 || !isWithin(box, focus) ? null : { x, w };
	}

	function draw() {
		const width = canvas.clientWidth;
		const scale = window.devicePixelRatio || 1;
		canvas.style.height = `${depth * rowHeight}px`;
		canvas.width = width * scale;
		canvas.height = depth * rowHeight * scale;
		pen.setTransform(scale, 0, 0, scale, 0, 0);
		pen.font = "12px ui-monospace, monospace";
		pen.textBaseline = "middle";
		const ink = look("--tint-ink");
		const tint = look("--tint");
		for (const box of boxes) {
			const at = place(box, width);
			if (!at) continue;
			const y = box.depth * rowHeight;
			pen.globalAlpha = fits(box) ? 1 : 0.22;
			pen.fillStyle = `oklch(${tint} ${hueOf(box.phase)})`;
			pen.fillRect(at.x, y, Math.max(at.w - 0.7, narrowest), rowHeight - 1);
			if (at.w < roomForText) continue;
			pen.fillStyle = ink;
			pen.fillText(clipped(box.name, at.w - 8), at.x + 4, y + rowHeight / 2);
		}
		pen.globalAlpha = 1;
	}

	function clipped(text, width) {
		const letters = Math.floor(width / 7.3);
		return text.length <= letters ? text : `${text.slice(0, Math.max(0, letters - 1))}…`;
	}

	/** The time of the outermost boxes that fit: a call in a call is not counted twice. */
	function tell() {
		const isOn = wanted !== "" || onlyPhase !== null;
		let time = 0;
		for (const box of boxes) {
			if (onlyPhase !== null) time += fits(box) ? box.own : 0;
			else if (fits(box) && !isAnyAbove(box.parent)) time += box.time;
		}
		matched.value = isOn ? `${share(time)}, ${each(time)} a request` : "";
		reset.hidden = !isOn && focus === whole;
		for (const [number, row] of rows.entries()) {
			row.setAttribute("aria-selected", String(number === onlyPhase));
		}
		draw();
	}

	function isAnyAbove(box) {
		for (let at = box; at && at !== whole; at = at.parent) if (fits(at)) return true;
		return false;
	}

	function boxAt(event) {
		const { left, top, width } = canvas.getBoundingClientRect();
		const x = event.clientX - left;
		const row = Math.floor((event.clientY - top) / rowHeight);
		return boxes.find((box) => {
			if (box.depth !== row) return false;
			const at = place(box, width);
			return at && x >= at.x && x < at.x + at.w;
		});
	}

	canvas.addEventListener("click", (event) => {
		focus = boxAt(event) ?? whole;
		tell();
	});
	canvas.addEventListener("mousemove", (event) => {
		const box = boxAt(event);
		tip.hidden = !box;
		if (!box) return;
		tip.textContent = `${box.name}\n${box.where}\n${phases[box.phase]}\ntotal ${share(box.time)}, ${each(box.time)} a request; self ${share(box.own)}, ${each(box.own)}`;
		const { left, top, width } = canvas.getBoundingClientRect();
		const x = Math.min(event.clientX - left + 14, width - tip.offsetWidth);
		tip.style.left = `${Math.max(0, x)}px`;
		tip.style.top = `${event.clientY - top + 18}px`;
	});
	canvas.addEventListener("mouseleave", () => {
		tip.hidden = true;
	});
	search.addEventListener("input", () => {
		wanted = search.value.trim().toLowerCase();
		tell();
	});
	function back() {
		focus = whole;
		wanted = "";
		search.value = "";
		onlyPhase = null;
		tell();
	}
	reset.addEventListener("click", back);
	document.addEventListener("keydown", (event) => {
		if (event.key === "Escape") back();
	});
	for (const [number, row] of rows.entries()) {
		const choose = () => {
			onlyPhase = onlyPhase === number ? null : number;
			tell();
		};
		row.addEventListener("click", choose);
		row.addEventListener("keydown", (event) => {
			if (event.key === "Enter") choose();
		});
	}
	/** Colours are of the light or the dark page. */
	function paint() {
		for (const [number, row] of rows.entries()) {
			row.style.setProperty("--phase", `oklch(${look("--tint")} ${hueOf(number)})`);
		}
		draw();
	}
	window.addEventListener("resize", draw);
	window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paint);
	paint();
}
