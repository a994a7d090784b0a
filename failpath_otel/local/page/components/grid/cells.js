// The rows of the grid: the runs on top, as bars of their durations, and below a row for each step.
import { html } from "../../lib/html.js";
import { dateTime, duration, NONE } from "../../lib/format.js";
import { memo } from "../../lib/memo.js";
import { look } from "../../lib/status.js";
import { ABSENT, cellOf, kindOf, sentenceOf } from "./model.js";
import { labelsOf, since } from "./times.js";

const LABEL_EVERY = 6; // Columns that the time above one of them takes.
const LONGEST_BAR = 26;

export const HEAD = -1; // The row of the runs.

export const cellId = (row, column) => `grid-cell-${row}-${column}`;

export const Head = memo(({ runs, active }) => {
  const longest = Math.max(1, ...runs.map(({ durationMs }) => durationMs ?? 0));
  const labels = labelsOf(runs, LABEL_EVERY);
  return html`<div class="grid-row grid-head" role="row" aria-rowindex="1">
    <div class="grid-name grid-corner" role="columnheader"><span class="visually-hidden">Step</span></div>
    ${runs.map((run, column) => {
      const { kind, word } = look(run.status, run.liveness);
      const said = `${run.runId}, ${dateTime(run.startedAt)}: ${word}, ${run.durationMs === null ? NONE : duration(run.durationMs)}`;
      // So that one very long run does not flatten all others.
      const height = run.durationMs === null ? LONGEST_BAR : 2 + Math.sqrt(run.durationMs / longest) * (LONGEST_BAR - 2);
      return html`<div key=${run.runId} id=${cellId(HEAD, column)} role="columnheader" data-testid="grid-run"
        data-run=${run.runId} data-kind=${kind} data-row=${HEAD} data-column=${column}
        class=${`grid-run grid-${kind}${active === column ? " grid-active" : ""}`}>
        ${labels.has(column) && html`<span class="grid-time" aria-hidden="true">${labels.get(column)}</span>`}
        <span class="visually-hidden">${said}</span>
        <span class="grid-bar" style=${{ height: `${height.toFixed(1)}px` }}></span>
      </div>`;
    })}
  </div>`;
});

// `attributes` are those of the windowed list; `active` the column with the cursor, or -1.
export const Row = memo(({ place, step, runs, active, at }) => {
  const { failing } = step;
  return html`<div class="grid-row" role="row" data-testid="grid-row" data-step=${step.stepKey} aria-rowindex=${place + 2} data-at=${at}>
    <div class=${`grid-name${failing ? " grid-name-failing" : ""}`} role="rowheader" title=${step.stepKey}
      style=${step.depth > 0 ? { paddingLeft: `${16 + 12 * step.depth}px` } : undefined}>
      <span class="ellipsis">${step.label}</span>
      ${failing && html`<span class="grid-since" data-testid="grid-since" title=${dateTime(failing.since)}>
        <span class="grid-since-words">${failing.failed < failing.ended ? `${failing.failed} of ${failing.ended}` : "fails"} since </span>${since(failing.since)}</span>`}
    </div>
    ${runs.map((run, column) => {
      const letter = run.letters[place];
      const kind = kindOf(letter);
      const again = run.repeated.has(place);
      return html`<div key=${run.runId} id=${cellId(place, column)} role="gridcell" data-row=${place} data-column=${column}
        data-kind=${kind ?? "none"} aria-label=${sentenceOf(cellOf(run, place))}
        class=${`grid-cell grid-${letter === ABSENT ? "absent" : kind}${again ? " grid-again" : ""}${active === column ? " grid-active" : ""}`}></div>`;
    })}
  </div>`;
});

// Since when a step fails, as a sentence.
export function verdictOf({ failing }) {
  const { failed, ended, failedBefore, endedBefore } = failing;
  const when = since(failing.since);
  if (endedBefore === 0) return `fails since ${when} or earlier: all ${ended} runs`;
  const before = `before ${failedBefore} of ${endedBefore}`;
  return failed === ended ? `fails since ${when}: all ${ended} runs, ${before}` : `fails since ${when} in ${failed} of ${ended} runs, ${before}`;
}
