/** The report's style: light and dark, wide and narrow, screen and paper. Charts take their colours from here, too. */

/** Series' colours: Okabe and Ito's for colour-blind readers, darker or lighter as the ground asks. */
export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: #ffffff; --panel: #f6f7f9; --ink: #1b1f24; --quiet: #5b6470; --line: #d9dde3; --grid: #e8ebef;
  --link: #0b5cad; --mark: #fff0b8; --published: #f3eefb; --published-ink: #5f3d99; --failed: #b3261e;
  --heat: #12528f; --on-heat: #ffffff; --off-heat: #1b1f24;
  --c0: #0072b2; --c1: #d55e00; --c2: #00876a; --c3: #b0447f; --c4: #8a6d00; --c5: #2f8fc4; --c6: #5d5d5d; --c7: #7a3db8;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ground: #14171b; --panel: #1c2026; --ink: #e6e9ed; --quiet: #9aa4b1; --line: #363d46; --grid: #2a3038;
    --link: #78b6f2; --mark: #5a4a10; --published: #2a2438; --published-ink: #c4a8f0; --failed: #ff8a80;
    --heat: #7cc0ff; --on-heat: #10151b; --off-heat: #e6e9ed;
    --c0: #56b4e9; --c1: #f0883e; --c2: #2fc79b; --c3: #e58bbd; --c4: #e0c34a; --c5: #9ad0f5; --c6: #b4b4b4; --c7: #c39bea;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 5rem; max-width: 60rem; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif;
}
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; letter-spacing: -.01em; }
h2 { font-size: 1.5rem; line-height: 1.25; margin: 3.5rem 0 .6rem; padding-top: 1rem; border-top: 2px solid var(--line); }
h3 { font-size: 1.18rem; margin: 2.6rem 0 .5rem; }
h4 { font-size: 1rem; margin: 1.8rem 0 .4rem; }
h1, h2, h3, h4, p, figcaption, summary, li { overflow-wrap: anywhere; }
p, ul { margin: .6rem 0; max-width: 46rem; }
li { margin: .3rem 0; }
a { color: var(--link); }
.subtitle, .note { color: var(--quiet); }
.note, small { font-size: .82rem; }
nav ul { margin: 1.2rem 0 0; padding: 0; list-style: none; max-width: none; font-size: .92rem; }
nav li { margin: .15rem 0; }
.scroll { overflow-x: auto; margin: 1.2rem 0 1.4rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; padding: 0 0 .5rem; max-width: min(46rem, calc(100vw - 2rem)); line-height: 1.45; color: var(--quiet); }
th, td { padding: .42rem .8rem; text-align: right; vertical-align: top; border-bottom: 1px solid var(--grid); font-weight: 400; }
thead th { font-weight: 600; vertical-align: bottom; border-bottom: 1.5px solid var(--quiet); }
tbody tr:last-child > * { border-bottom: 1.5px solid var(--quiet); }
td:not(.words), tbody th:not(.words) { white-space: nowrap; }
.words { text-align: left; overflow-wrap: break-word; }
.words:not(:first-child) { min-width: 9rem; }
tbody th:not(.words) { font-weight: 600; }
td small, th small { display: block; color: var(--quiet); white-space: nowrap; font-size: .78rem; font-weight: 400; }
td.words small { white-space: normal; }
.published { background: var(--published); }
.published, .published small { color: var(--published-ink); }
.failed { color: var(--failed); font-weight: 600; }
figure { margin: 1.6rem 0 1.8rem; }
figcaption { margin: 0 0 .5rem; max-width: 46rem; color: var(--quiet); font-size: .92rem; line-height: 1.45; }
figcaption strong { display: block; color: var(--ink); font-size: 1rem; }
svg { display: block; width: 100%; height: auto; overflow: visible; }
.wide { max-width: 45rem; }
.narrow { display: none; }
svg text { font-family: inherit; fill: var(--ink); }
svg .quiet { fill: var(--quiet); }
svg .grid { stroke: var(--grid); }
svg .axis { stroke: var(--quiet); }
details { margin: .6rem 0; border: 1px solid var(--line); border-radius: 6px; padding: 0 .9rem; }
summary { cursor: pointer; padding: .5rem 0; }
pre { overflow: auto; max-height: 30rem; background: var(--panel); padding: .8rem; border-radius: 6px; font-size: .78rem; line-height: 1.45; }
.tokens { background: var(--panel); border-radius: 6px; padding: .7rem .9rem; font: .85rem/1.9 ui-monospace, "DejaVu Sans Mono", monospace; white-space: pre-wrap; overflow-wrap: anywhere; max-width: none; }
.tokens span, .tokens mark { border-radius: 3px; box-shadow: inset 0 0 0 .5px var(--line); color: inherit; }
.tokens mark { background: var(--mark); }
@media (max-width: 40rem) {
  body { padding: 1.4rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  .wide { display: none; }
  .narrow { display: block; }
  table { font-size: .86rem; }
  th, td { padding: .4rem .5rem; }
}
@page { margin: 15mm; }
@media print {
  :root { color-scheme: light; --ground: #fff; --ink: #000; }
  body { font-size: 10.5pt; max-width: none; padding: 0; }
  nav { display: none; }
  .wide { display: block; } .narrow { display: none; }
  figure, tr { break-inside: avoid; }
  h2, h3, h4, caption, figcaption, summary { break-after: avoid; }
  /* Paper has no scroll bars: what is wide breaks. */
  .scroll { overflow: visible; }
  table { font-size: 8.5pt; }
  caption { max-width: none; }
  th, td { padding: .3rem .4rem; }
  td, tbody th, td:not(.words), tbody th:not(.words), td small, th small { white-space: normal; overflow-wrap: anywhere; }
  .words:not(:first-child) { min-width: 0; }
  /* What is folded away is printed, but for the manifests. */
  section:not(#manifests) > details::details-content { content-visibility: visible; block-size: auto; }
  pre { max-height: none; white-space: pre-wrap; overflow-wrap: anywhere; overflow: visible; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
`;
