/** The style sheet, made by script: no page's policy for styles forbids that. */

const CSS = `
:host {
  display: block;
  container-type: inline-size;
  min-inline-size: 160px;
  font-family: var(--live-job-font, inherit);
  font-size: var(--live-job-size, 13px);
  font-weight: 400;
  line-height: 1.54;
  letter-spacing: normal;
  text-transform: none;
  --accent: var(--live-job-accent, light-dark(#4f52d3, #8b8ef5));
  --ground: var(--live-job-ground, light-dark(#fff, #131418));
  --sunken: var(--live-job-sunken, light-dark(#f4f4f6, #191a20));
  --ink: var(--live-job-ink, light-dark(#18191d, #ececf0));
  --soft: var(--live-job-soft, light-dark(#5c5f68, #a2a5b0));
  --line: var(--live-job-line, light-dark(#e7e7eb, #22242a));
  --edge: var(--live-job-edge, light-dark(#d5d6dc, #34363f));
  --track: var(--live-job-track, light-dark(#e9e9ee, #26282f));
  --good: var(--live-job-good, light-dark(#1a7f4b, #4cc38a));
  --bad: var(--live-job-bad, light-dark(#c42b32, #f4767b));
  --warn: var(--live-job-warn, light-dark(#94600a, #e2a63c));
  --warn-fill: var(--live-job-warn, light-dark(#d9951a, #e2a63c));
  --idle: light-dark(#8c8f99, #6c6f7b);
  --on-disc: light-dark(#fff, #0d0e11);
  --radius: var(--live-job-radius, 10px);
  --mono: var(--live-job-mono, ui-monospace, "SF Mono", "Cascadia Code", Menlo, Consolas, monospace);
}
:host([hidden]), [hidden] { display: none !important; }
:host([theme="light"]) { color-scheme: light; }
:host([theme="dark"]) { color-scheme: dark; }
*, ::before, ::after { box-sizing: border-box; }
p, ol, ul { margin: 0; padding: 0; font: inherit; }
ol, ul { list-style: none; }
button, input, select, textarea { font: inherit; color: inherit; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }

.card {
  display: flex;
  flex-direction: column;
  min-block-size: 100%;
  padding: 14px 16px;
  border: 1px solid var(--line);
  border-radius: var(--radius);
  background: var(--ground);
  color: var(--ink);
  text-align: start;
  overflow-wrap: anywhere;
}
.card.compact { padding: 0; border: 0; border-radius: 0; background: none; }
.card:focus { outline: none; }
.card > * { flex: none; }

.head { display: flex; gap: 8px; align-items: center; min-inline-size: 0; }
.title { flex: 1; min-inline-size: 0; font-weight: 600; }
.title, .compact .message, .file a {
  overflow: hidden;
  text-overflow: ellipsis;
  white-space: nowrap;
}
.state {
  flex: none;
  max-inline-size: 60%;
  font-weight: 500;
  font-variant-numeric: tabular-nums;
}
[data-kind="failed"] .state { color: var(--bad); }
[data-kind="stalled"] .state, [data-kind="waiting"] .state { color: var(--warn); }
[data-kind="queued"] .state,
[data-kind="cancelled"] .state,
[data-kind="cancelling"] .state {
  color: var(--soft);
}

.glyph, .arrow {
  flex: none; inline-size: 16px; block-size: 16px;
  fill: none; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round;
}
.disc { stroke: var(--track); }
.arc { stroke: var(--accent); stroke-width: 2; }
.tick, .cross, .dash, .ask { display: none; stroke: var(--on-disc); }
[data-kind]:not([data-kind="running"], [data-kind="stalled"], [data-kind="cancelling"]) > .arc {
  display: none;
}
[data-kind="stalled"] > .arc { stroke: var(--warn-fill); }
[data-kind="cancelling"] > .arc { stroke: var(--idle); }
[data-kind="queued"] > .disc { stroke: var(--idle); stroke-dasharray: 1.4 2.52; }
[data-kind="succeeded"] > .disc { fill: var(--good); stroke: var(--good); }
[data-kind="failed"] > .disc { fill: var(--bad); stroke: var(--bad); }
[data-kind="waiting"] > .disc { fill: var(--warn); stroke: var(--warn); }
[data-kind="cancelled"] > .disc { fill: var(--idle); stroke: var(--idle); }
[data-kind="succeeded"] > .tick, [data-kind="failed"] > .cross, [data-kind="cancelled"] > .dash,
[data-kind="waiting"] > .ask { display: block; }

.button {
  flex: none; padding: 2px 9px; border: 1px solid var(--edge); border-radius: 6px;
  background: var(--ground);
  font-weight: 500;
  cursor: pointer;
  transition: background .12s, border-color .12s;
}
.button:hover { background: var(--sunken); }
.button:disabled { opacity: .5; cursor: default; }
.button.sure { border-color: var(--bad); background: var(--bad); color: var(--on-disc); }

.bar {
  overflow: hidden;
  block-size: var(--live-job-bar, 4px);
  margin-block: 7px 5px;
  border-radius: 99px;
  background: var(--track);
}
.bar i {
  display: block; block-size: 100%; border-radius: inherit; background: var(--accent);
  transform-origin: left; transition: transform .35s ease-out, background .35s;
}
.bar:dir(rtl) i { transform-origin: right; }
.bar i.unknown {
  inline-size: 30%;
  transform: none !important;
  animation: wander 1.8s ease-in-out infinite;
}
[data-kind="stalled"] > .bar i, [data-kind="waiting"] > .bar i { background: var(--warn-fill); }
[data-kind="failed"] > .bar i { background: var(--bad); }
[data-kind="cancelled"] > .bar i, [data-kind="cancelling"] > .bar i { background: var(--idle); }
[data-kind="succeeded"] > .bar i { background: var(--good); }

.meta {
  display: flex;
  flex-wrap: wrap;
  gap: 0 16px;
  justify-content: space-between;
  color: var(--soft);
}
.compact .meta { flex-wrap: nowrap; min-block-size: 1.54em; }
.message { flex: 1 1 0; min-inline-size: 35%; max-inline-size: 100%; }
.message:empty { display: none !important; }
.card:not(.compact) .message {
  display: -webkit-box;
  overflow: hidden;
  -webkit-box-orient: vertical;
  -webkit-line-clamp: 4;
  white-space: pre-line;
}
[data-kind="failed"] .message { color: var(--bad); }
.figures {
  display: flex;
  flex: none;
  flex-wrap: wrap;
  gap: 0 12px;
  max-inline-size: 100%;
  margin-inline-start: auto;
  font-variant-numeric: tabular-nums;
}
.compact :is(.amount, .rate), .figures > :empty { display: none; }
.connection { flex-basis: 100%; color: var(--warn); animation: late 1.2s step-end; }
.compact .connection { flex-basis: auto; white-space: nowrap; }

.refused { margin-block-start: 8px; color: var(--bad); }
.question {
  margin-block-start: 12px;
  padding: 12px;
  border-radius: 8px;
  background: var(--sunken);
}
.question form { display: flex; flex-direction: column; gap: 10px; align-items: flex-start; }
.question .prompt { font-weight: 500; white-space: pre-line; }
.question .refused { margin: 0; }
.choices { display: flex; flex-wrap: wrap; gap: 8px; }
label {
  display: flex;
  flex-direction: column;
  gap: 4px;
  inline-size: 100%;
  max-inline-size: 420px;
  color: var(--soft);
}
label:has([type="checkbox"]) {
  flex-direction: row-reverse;
  gap: 8px;
  align-items: center;
  justify-content: flex-end;
}
label small { color: var(--soft); font-size: .92em; }
input:not([type="checkbox"]), select, textarea {
  inline-size: 100%; min-block-size: 30px; padding: 4px 9px; border: 1px solid var(--edge);
  border-radius: 6px; background: var(--ground); color: var(--ink);
}
textarea { font-family: var(--mono); resize: vertical; }

.steps { margin-block-start: 12px; }
.steps, .files { overflow: auto; max-block-size: 300px; }
.step { display: flex; gap: 8px; align-items: center; padding-block: 2px; }
.step .name { flex: 1; min-inline-size: 0; }
.step .time { flex: none; color: var(--soft); font-variant-numeric: tabular-nums; }
.step:is([data-kind="queued"], [data-kind="cancelled"]) .name { color: var(--soft); }
.step .glyph { inline-size: 14px; block-size: 14px; }

section { margin-block-start: 12px; }
.heading { margin-block-end: 4px; color: var(--soft); font-size: .92em; font-weight: 500; }
.heading .count { margin-inline-start: 4px; font-variant-numeric: tabular-nums; }
.errors li { padding-block: 1px; color: var(--bad); }

.log-section { display: flex; flex-direction: column; }
.log {
  overflow: auto;
  max-block-size: var(--live-job-log-height, 168px);
  padding: 8px 10px;
  border: 1px solid var(--line);
  border-radius: 8px; background: var(--sunken);
  font-family: var(--mono);
  font-size: .92em;
  font-variant-ligatures: none;
  overscroll-behavior: contain;
  scrollbar-width: thin;
}
.line {
  display: flex;
  gap: 10px;
  border-inline-start: 2px solid transparent;
  margin-inline-start: -8px;
  padding-inline-start: 6px;
  white-space: pre-wrap;
}
.line time { flex: none; color: var(--soft); }
.line span { min-inline-size: 0; }
.line[data-level="warning"] { border-color: var(--warn); color: var(--warn); }
.line[data-level="error"] { border-color: var(--bad); color: var(--bad); }
.line[data-level="debug"] { color: var(--soft); }

.file { display: flex; gap: 12px; align-items: center; }
.file a {
  display: flex;
  flex: 0 1 auto;
  gap: 6px;
  align-items: center;
  min-inline-size: 0;
  padding-block: 2px;
  border-radius: 4px;
  color: inherit;
  font-weight: 500;
  text-decoration: none;
}
.file a:hover span { text-decoration: underline; }
.file a span { overflow: hidden; text-overflow: ellipsis; }
.file .arrow { stroke: var(--soft); }
.file .size { flex: none; color: var(--soft); }

::slotted([slot="footer"]) { margin-block-start: 10px; }

.notice {
  display: flex;
  gap: 8px;
  align-items: center;
  min-block-size: 1.54em;
  color: var(--soft);
}
.sr {
  position: absolute;
  inline-size: 1px;
  block-size: 1px;
  overflow: hidden;
  clip-path: inset(50%);
  white-space: nowrap;
}

@container (max-width: 360px) {
  .card:not(.compact) { padding: 12px 12px; }
  .amount, .rate, .line time { display: none; }
}
@keyframes wander { from { translate: -100%; } to { translate: 333%; } }
@keyframes late { from { opacity: 0; } }
@media (prefers-reduced-motion: reduce) {
  *, ::before, ::after { transition: none !important; }
  .bar i.unknown { inline-size: 100%; opacity: .35; animation: none; }
}
@media (forced-colors: active) {
  .bar { border: 1px solid CanvasText; }
  .bar i { background: CanvasText !important; forced-color-adjust: none; }
}
`;

const sheets = new WeakMap(); // a sheet belongs to a document, and an element may move to another

export function adopt(root) {
  const { ownerDocument: page } = root;
  if (!sheets.has(page)) {
    const sheet = new page.defaultView.CSSStyleSheet();
    sheet.replaceSync(CSS);
    sheets.set(page, sheet);
  }
  root.adoptedStyleSheets = [sheets.get(page)];
}
