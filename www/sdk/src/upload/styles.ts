/**
 * The look of the upload guard. Sites change it by the custom properties below and by `::part`. As a
 * constructed sheet it is no inline style, so it works under a strict content security policy.
 */
const CSS = `
:host {
  --llavaguard-ink: light-dark(#1d2321, #e8ece9);
  --llavaguard-quiet: light-dark(#5c6662, #9faba5);
  --llavaguard-ground: light-dark(#ffffff, #1d2320);
  --llavaguard-line: light-dark(#d3d5cd, #3c4641);
  --llavaguard-accent: light-dark(#2f6f5e, #7fc4ad);
  --llavaguard-accent-ink: light-dark(#ffffff, #10201a);
  --llavaguard-allowed: light-dark(#23704f, #86d3ab);
  --llavaguard-blocked: light-dark(#a8321f, #f2a08f);
  --llavaguard-undecided: light-dark(#7a5600, #e5c07b);
  --llavaguard-radius: 10px;
  display: block;
  color: var(--llavaguard-ink);
  font: inherit;
  line-height: 1.45;
}
:host([hidden]) { display: none; }
* { box-sizing: border-box; }
p, ul { margin: 0; padding: 0; }
[hidden] { display: none !important; }
.unseen {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden;
  clip-path: inset(50%); white-space: nowrap;
}
.drop {
  display: flex; flex-wrap: wrap; gap: 0.4rem 0.75rem; align-items: center; position: relative;
  padding: 1rem; border: 1.5px dashed var(--llavaguard-line);
  border-radius: var(--llavaguard-radius); background: var(--llavaguard-ground);
}
.drop.over { border-color: var(--llavaguard-accent); border-style: solid; }
.drop .hint { color: var(--llavaguard-quiet); }
.drop .private { flex-basis: 100%; font-size: 0.875em; color: var(--llavaguard-quiet); }
.choose {
  padding: 0.5rem 1rem; border-radius: var(--llavaguard-radius); cursor: pointer;
  background: var(--llavaguard-accent); color: var(--llavaguard-accent-ink); font-weight: 600;
}
input:focus-visible + .choose, button:focus-visible {
  outline: 3px solid var(--llavaguard-accent); outline-offset: 2px;
}
input:disabled + .choose { opacity: 0.5; cursor: not-allowed; }
.files { display: grid; gap: 0.5rem; list-style: none; }
.drop + .files:not(:empty), .files:not(:first-child):not(:empty) { margin-top: 0.6rem; }
.file {
  display: grid; grid-template-columns: 3.5rem minmax(0, 1fr); gap: 0.25rem 0.75rem;
  align-items: start; padding: 0.6rem; border: 1px solid var(--llavaguard-line);
  border-radius: var(--llavaguard-radius); background: var(--llavaguard-ground);
}
.file[data-status="blocked"] { border-color: var(--llavaguard-blocked); }
.file[data-status="undecided"] { border-color: var(--llavaguard-undecided); }
.thumb {
  grid-row: span 3; width: 3.5rem; height: 3.5rem; border-radius: 6px; overflow: hidden;
  background: color-mix(in srgb, var(--llavaguard-line) 50%, transparent);
}
.thumb canvas { display: block; width: 100%; height: 100%; object-fit: cover; }
.file[data-status="blocked"] canvas { filter: blur(5px); }
.head { display: flex; flex-wrap: wrap; gap: 0 0.75rem; justify-content: space-between; }
.name { overflow-wrap: anywhere; font-weight: 600; }
.status { font-size: 0.9em; font-weight: 600; color: var(--llavaguard-quiet); }
.file[data-status="allowed"] .status { color: var(--llavaguard-allowed); }
.file[data-status="blocked"] .status { color: var(--llavaguard-blocked); }
.file[data-status="undecided"] .status { color: var(--llavaguard-undecided); }
.status[data-mark]::before { content: attr(data-mark); margin-inline-end: 0.35em; }
.why, .note { font-size: 0.9em; overflow-wrap: anywhere; }
.note { color: var(--llavaguard-quiet); }
.buttons { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.buttons, .why, .note { grid-column: 2; }
button {
  min-height: 2.1rem; padding: 0.2rem 0.75rem; border: 1px solid var(--llavaguard-line);
  border-radius: 8px; background: transparent; color: inherit; font: inherit; font-size: 0.9em;
  cursor: pointer;
}
button:hover { border-color: var(--llavaguard-accent); }
.bar { grid-column: 2; height: 3px; border-radius: 2px; overflow: hidden;
  background: color-mix(in srgb, var(--llavaguard-line) 60%, transparent); }
.bar::after {
  content: ""; display: block; width: 35%; height: 100%; border-radius: 2px;
  background: var(--llavaguard-accent); animation: run 1.1s ease-in-out infinite alternate;
}
@keyframes run { from { transform: translateX(0); } to { transform: translateX(186%); } }
@media (prefers-reduced-motion: reduce) { .bar::after { animation: none; width: 100%; opacity: 0.5; } }
@media (forced-colors: active) { .file, .drop { border-color: CanvasText; } }
`;

let sheet: CSSStyleSheet | undefined;

/** The sheet, one for all. */
export function uploadStyles(): CSSStyleSheet {
  if (!sheet) {
    sheet = new CSSStyleSheet();
    sheet.replaceSync(CSS);
  }
  return sheet;
}
