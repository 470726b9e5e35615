/** The style of a report: one sheet, light or dark as the reader's system is. */
export const style = `
:root { color-scheme: light dark;
	--page: #f6f7f9; --card: #fff; --ink: #16191f; --soft: #667085; --rule: #e4e7ec; --shade: #eef0f4;
	--good: #067647; --good-bg: #ecfdf3; --bad: #b42318; --bad-bg: #fef3f2; --warn: #93570c; --warn-bg: #fffaeb;
	--a: #2563eb; --b: #d97706; --c: #c026d3; --d: #0f766e; --e: #dc2626; --old: #98a2b3; }
@media (prefers-color-scheme: dark) { :root {
	--page: #0e1116; --card: #161b22; --ink: #e6e9ef; --soft: #97a1b2; --rule: #2a313c; --shade: #1c222b;
	--good: #5fd39a; --good-bg: #11271d; --bad: #ff8f85; --bad-bg: #2f1715; --warn: #f2bd62; --warn-bg: #2b2110;
	--a: #6ea2ff; --b: #f2a945; --c: #e07bf0; --d: #4fd1c0; --e: #ff7a70; --old: #5d6777; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 32px 20px 64px; background: var(--page); color: var(--ink);
	font: 14px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 980px; margin: 0 auto; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 13px; font-weight: 600; margin: 36px 0 10px; color: var(--soft);
	text-transform: uppercase; letter-spacing: .06em; }
header p { margin: 6px 0 0; color: var(--soft); }
header .title { display: flex; gap: 14px; align-items: center; flex-wrap: wrap; }
.verdict { font-weight: 600; font-size: 13px; padding: 3px 10px; border-radius: 99px; }
.good { color: var(--good); } .bad { color: var(--bad); }
.verdict.good { background: var(--good-bg); } .verdict.bad { background: var(--bad-bg); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(130px, 1fr)); gap: 10px; margin-top: 22px; }
.tile, figure, .box { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; }
.tile { padding: 12px 14px; }
.tile span { display: block; color: var(--soft); font-size: 12px; }
.tile b { font-size: 21px; font-weight: 600; font-variant-numeric: tabular-nums; letter-spacing: -.01em; }
.tile small { display: block; color: var(--soft); font-size: 12px; font-variant-numeric: tabular-nums; }
.box { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 7px 14px; text-align: right; white-space: nowrap; border-top: 1px solid var(--rule); }
tr:first-child > * { border-top: 0; }
th { font-weight: 500; color: var(--soft); font-size: 12px; }
th:first-child, td:first-child, td.text { text-align: left; }
td.text { white-space: normal; }
tr.total td { font-weight: 600; }
td small { color: var(--soft); display: block; font-size: 12px; }
code { font: 13px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
.warning { background: var(--warn-bg); color: var(--warn); border-radius: 10px; padding: 10px 14px; margin: 14px 0 0; }
figure { margin: 0 0 12px; padding: 12px 14px 6px; }
figcaption { display: flex; justify-content: space-between; gap: 12px; flex-wrap: wrap; margin-bottom: 4px; }
figcaption b { font-weight: 600; }
.legend { color: var(--soft); font-size: 12px; display: flex; gap: 14px; flex-wrap: wrap; align-items: center; }
.key i { display: inline-block; width: 14px; height: 3px; border-radius: 2px; margin-right: 5px;
	vertical-align: middle; background: var(--colour); }
svg { display: block; width: 100%; height: auto; }
.line { fill: none; stroke: var(--colour); stroke-width: 1.7; stroke-linejoin: round; stroke-linecap: round; }
.area { fill: var(--colour); opacity: .1; }
.a { --colour: var(--a); } .b { --colour: var(--b); } .c { --colour: var(--c); }
.d { --colour: var(--d); } .e { --colour: var(--e); } .old { --colour: var(--old); }
.line.old { stroke-dasharray: 4 3; stroke-width: 1.3; }
.grid { stroke: var(--rule); } .shade { fill: var(--shade); }
.tick { fill: var(--soft); font-size: 11px; }
.mark line { stroke: var(--soft); stroke-dasharray: 2 3; } .mark text { fill: var(--soft); font-size: 10px; }
footer { margin-top: 32px; color: var(--soft); font-size: 12px; }
@media print { body { background: none; padding: 0; } figure, .tile, .box { break-inside: avoid; } }
`;
