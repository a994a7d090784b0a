// The grid of a flow: its newest runs beside each other, the newest at the right, and its steps below each other.
import { html, useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { useResource } from "../../lib/api.js";
import { count, dateTime, duration, plural } from "../../lib/format.js";
import { useHeld } from "../held.js";
import { Failure } from "../parts.js";
import { asked, useRange } from "../../lib/range.js";
import { Link, navigate, runPath, search, setQuery } from "../../lib/router.js";
import { Glyph } from "../../lib/status.js";
import { useStream } from "../../lib/stream.js";
import { useVirtual } from "../../lib/virtual.js";
import { cellId, Head, HEAD, Row, verdictOf } from "./cells.js";
import { attemptsOf, cellOf, decoded, inPlaces, wordOf } from "./model.js";

const RUNS = 60;
const RELOAD_MS = 1000;
const ROW = 22;
const WHOLE_UP_TO = 40; // A row has a cell for each run.
const PAGE = 10; // Rows that a page of the keyboard has.
const VERDICTS = 3;

// What is loaded for the grid of a flow; `settled` when it is there, or could not be had. `query` is that of the address:
// its range of time, and `older`, where older runs begin. `hasRuns` is null as long as that is not known.
export function useGrid(flowKey, query, hasRuns) {
  const older = query.get("older");
  const range = useRange(query);
  const place = `grid/${encodeURIComponent(flowKey)}${search({ ...asked(range), limit: RUNS, before: older })}`;
  const { data, error, reload, reloadSoon } = useResource(hasRuns ? place : null, { key: `grid/${flowKey}`, every: RELOAD_MS });
  useStream(({ rows, more, revision }) => {
    if (hasRuns && (rows.some((row) => row.flowKey === flowKey) || (more && revision !== data?.revision))) reloadSoon();
  }, reload);
  const now = useMemo(() => data && decoded(data), [data]);
  // The begin of the last hour moves on by itself, which is no other range.
  const chosen = range.name === "custom" ? `${range.from} ${range.to}` : range.name;
  const before = useRef(chosen);
  useEffect(() => {
    if (before.current !== chosen) setQuery({ older: null }, { replace: true });
    before.current = chosen;
  }, [chosen]);
  return { flowKey, now, older, range, chosen, error, reload, settled: hasRuns === false || data !== null || error !== null };
}

export function Grid({ grid: { flowKey, now, older, range, chosen, error, reload } }) {
  if (now === null) return error === null ? null : html`<${Failure} what="The grid" error=${error} retry=${reload} />`;
  // A flow that has not run yet has no grid; what an address leaves out can be let in again.
  if (now.runs.length === 0 && older === null && range.name === "all") return null;
  return html`<${Runs} flowKey=${flowKey} now=${now} older=${older} view=${`${flowKey}\n${chosen}\n${older}`} />`;
}

function Runs({ flowKey, now, older, view }) {
  const [inside, setInside] = useState(false); // The pointer or the focus, under which nothing moves.
  const { runs, steps, waiting, release } = useStill(now, inside, view);
  const [active, setActive] = useState(null); // {runId, stepKey}; without a step key the head of the run.
  const [pointed, setPointed] = useState(null);
  const box = useRef(null);
  const rows = useVirtual(steps.length, { height: ROW, keyOf: (index) => steps[index].stepKey, keep: [active?.stepKey], wholeUpTo: WHOLE_UP_TO });
  useNewestInSight(box, rows, runs, steps, view);

  const at = placeOf(active, runs, steps);
  const shown = placeOf(pointed, runs, steps) ?? at;
  const failing = useHeld(steps.filter((step) => step.failing !== null), inside); // They stand above the cells.

  const go = (row, column, event) => {
    const path = runPath(runs[column].runId, flowKey, { step: row === HEAD || cellOf(runs[column], row).kind === null ? null : steps[row].stepKey });
    if (event.metaKey || event.ctrlKey) window.open(path, "_blank", "noopener");
    else navigate(path);
  };
  const move = (row, column) => {
    const to = { row: clamp(row, HEAD, steps.length - 1), column: clamp(column, 0, runs.length - 1) };
    setActive({ runId: runs[to.column].runId, stepKey: steps[to.row]?.stepKey ?? null });
    setPointed(null);
    reveal(box.current, rows, to);
  };
  const keys = (event) => {
    if (runs.length === 0 || event.altKey || event.shiftKey) return;
    const place = at ?? startOf(runs, steps);
    const moved = at === null ? place : movedBy(event, place, steps.length, runs.length);
    if (event.key === "Enter" && at !== null) go(at.row, at.column, event);
    else if (moved !== null && event.key.match(/^(Arrow|Home|End|Page)/)) move(moved.row, moved.column);
    else return;
    event.preventDefault(); // Or the page would take it, too.
  };
  const under = (event) => {
    const cell = event.target.closest("[data-column]");
    return cell === null ? null : { row: Number(cell.dataset.row), column: Number(cell.dataset.column) };
  };
  const over = (event) => {
    const place = under(event);
    setPointed(place === null ? null : { runId: runs[place.column].runId, stepKey: steps[place.row]?.stepKey ?? null });
  };
  const clicked = (event) => {
    const place = under(event);
    if (place === null) return;
    // A finger sees what it touches only when it has touched it; what it shows then leads on.
    if (event.pointerType === "touch") move(place.row, place.column);
    else go(place.row, place.column, event);
  };
  const focused = () => {
    setInside(true);
    if (at === null && runs.length > 0 && box.current.matches(":focus-visible")) {
      const { row, column } = startOf(runs, steps);
      setActive({ runId: runs[column].runId, stepKey: steps[row]?.stepKey ?? null });
    }
  };
  const show = ({ stepKey }) => reveal(box.current, rows, { row: steps.findIndex((step) => step.stepKey === stepKey), column: runs.length - 1 });
  const left = () => {
    setPointed(null);
    if (document.activeElement !== box.current) setInside(false);
  };

  return html`<section class="card run-grid-card" aria-labelledby="grid-title">
    <div class="card-head">
      <h2 id="grid-title">Runs</h2>
      ${failing.slice(0, 1).map((step) => html`<${Verdict} key=${step.stepKey} step=${step} onShow=${show} />`)}
      <div class="card-actions">
        ${waiting > 0 && html`<button type="button" class="button button-small" data-testid="grid-waiting" onClick=${release}>
          Show ${plural(waiting, "newer run")}</button>`}
        ${older !== null && html`<button type="button" class="button button-small" data-testid="grid-newest"
          onClick=${() => setQuery({ older: null })}>Newest</button>`}
        ${now.next !== null && html`<button type="button" class="button button-small" data-testid="grid-older"
          onClick=${() => setQuery({ older: now.next })}>Older</button>`}
      </div>
    </div>
    <${Others} failing=${failing} onShow=${show} />
    ${runs.length === 0
      ? html`<p class="card-note muted">No run ${older === null ? "in this range" : "is older"}.</p>`
      : html`<div class="run-grid" data-testid="grid" role="grid" tabindex="0" aria-label=${`Steps of the newest ${plural(runs.length, "run")}`}
          aria-rowcount=${steps.length + 1} aria-colcount=${runs.length + 1} aria-describedby="grid-detail"
          aria-activedescendant=${at === null ? undefined : cellId(at.row, at.column)} ref=${box}
          onKeyDown=${keys} onPointerOver=${over} onPointerEnter=${() => setInside(true)} onPointerLeave=${left}
          onFocus=${focused} onBlur=${() => setInside(false)} onClick=${clicked}>
          <${Head} runs=${runs} active=${at?.row === HEAD ? at.column : -1} />
          <div class="grid-rows" role="rowgroup" ref=${rows.ref}>
            ${rows.render((index, attributes) => html`<${Row} key=${attributes.key} at=${attributes["data-at"]} place=${index}
              step=${steps[index]} runs=${runs} active=${at?.row === index ? at.column : -1} />`)}
          </div>
        </div>
        <${Detail} flowKey=${flowKey} runs=${runs} steps=${steps} place=${shown} />`}
  </section>`;
}

const clamp = (value, least, most) => Math.min(Math.max(value, least), most);

function placeOf(cell, runs, steps) {
  if (cell === null) return null;
  const column = runs.findIndex(({ runId }) => runId === cell.runId);
  const row = cell.stepKey === null ? HEAD : steps.findIndex(({ stepKey }) => stepKey === cell.stepKey);
  return column < 0 || (cell.stepKey !== null && row < 0) ? null : { row, column };
}

// The keyboard begins at the newest run: at its first step that failed, else at its first one.
function startOf(runs, steps) {
  const row = runs.at(-1).letters.indexOf("e");
  return { row: row < 0 ? Math.min(0, steps.length - 1) : row, column: runs.length - 1 };
}

function movedBy({ key, ctrlKey, metaKey }, { row, column }, rows, columns) {
  const far = ctrlKey || metaKey;
  switch (key) {
    case "ArrowUp": return { row: far ? HEAD : row - 1, column };
    case "ArrowDown": return { row: far ? rows - 1 : row + 1, column };
    case "ArrowLeft": return { row, column: far ? 0 : column - 1 };
    case "ArrowRight": return { row, column: far ? columns - 1 : column + 1 };
    case "PageUp": return { row: row - PAGE, column };
    case "PageDown": return { row: row + PAGE, column };
    case "Home": return { row: far ? HEAD : row, column: 0 };
    case "End": return { row: far ? rows - 1 : row, column: columns - 1 };
    default: return null;
  }
}

// What is shown: while `inside`, the runs and steps that stood there when that began, with their newest outcomes.
function useStill(now, inside, view) {
  const [released, release] = useState(0);
  const own = useRef({ layout: now, view, released }).current;
  if (!inside || own.view !== view || own.released !== released) own.layout = now;
  own.view = view;
  own.released = released;
  const { layout } = own;
  const shown = useMemo(() => (layout === now ? now : inPlaces(now, layout)), [layout, now]);
  const known = new Set(layout.runs.map(({ runId }) => runId));
  const waiting = now.runs.filter(({ runId }) => !known.has(runId)).length;
  return { ...shown, waiting, release: useCallback(() => release((number) => number + 1), []) };
}

// Scrolls the grid, never the page: to its newest runs, unless the user looks at older ones, and to a step that fails.
function useNewestInSight(box, rows, runs, steps, view) {
  const atEnd = useRef(true);
  const opened = useRef(null);
  useEffect(() => {
    if (box.current === null) return undefined;
    const note = ({ target }) => {
      atEnd.current = target.scrollLeft + target.clientWidth >= target.scrollWidth - ROW;
    };
    box.current.addEventListener("scroll", note, { passive: true });
    return () => box.current?.removeEventListener("scroll", note);
  }, [box.current]);
  useLayoutEffect(() => {
    if (box.current === null) return;
    const anew = opened.current !== view;
    opened.current = view;
    if (anew || atEnd.current) box.current.scrollLeft = box.current.scrollWidth;
    const first = steps.findIndex(({ failing }) => failing !== null);
    if (anew && first > 0) reveal(box.current, rows, { row: first, column: runs.length - 1 });
  }, [runs.length, view, steps.length]);
}

// Scrolls the box just so far that a cell is beside the names and below the runs.
function reveal(box, rows, { row, column }) {
  if (box === null) return;
  const head = box.querySelector(".grid-head");
  const run = head.querySelector(`[data-column="${column}"]`);
  const name = head.querySelector(".grid-name").offsetWidth;
  if (run.offsetLeft - name < box.scrollLeft) box.scrollLeft = run.offsetLeft - name;
  if (run.offsetLeft + run.offsetWidth > box.scrollLeft + box.clientWidth) box.scrollLeft = run.offsetLeft + run.offsetWidth - box.clientWidth;
  if (row === HEAD) {
    box.scrollTop = 0;
    return;
  }
  const top = rows.whole ? row * (box.querySelector(".grid-rows > .grid-row")?.offsetHeight ?? ROW) : rows.top(row);
  const room = box.clientHeight - head.offsetHeight - ROW;
  if (top < box.scrollTop) box.scrollTop = top;
  if (top > box.scrollTop + room) box.scrollTop = top - room;
}

// The first one stands beside the title, so that nothing below moves when a step begins to fail.
function Others({ failing, onShow }) {
  if (failing.length < 2) return null;
  const rest = failing.length - VERDICTS;
  return html`<ul class="grid-verdicts">
    ${failing.slice(1, VERDICTS).map((step) => html`<li key=${step.stepKey}><${Verdict} step=${step} onShow=${onShow} /></li>`)}
    ${rest > 0 && html`<li class="muted">and ${count(rest)} more</li>`}
  </ul>`;
}

function Verdict({ step, onShow }) {
  return html`<button type="button" class="grid-verdict" data-testid="grid-verdict" data-step=${step.stepKey} onClick=${() => onShow(step)}>
    <span class="kind-error"><${Glyph} kind="error" /></span>
    <span><strong>${step.label}</strong> ${verdictOf(step)}</span>
  </button>`;
}

// What the pointer, or the cursor of the keyboard, is at; else what the cells mean. Its height never changes.
function Detail({ flowKey, runs, steps, place }) {
  if (place === null) {
    return html`<div class="grid-detail muted" id="grid-detail">
      <div class="grid-legend">
        ${["success", "error", "running", "silent", "gone", "skipped"].map((kind) => html`<span key=${kind}>
          <span class=${`grid-cell grid-${kind}`} aria-hidden="true"></span>${wordOf(kind)}</span>`)}
        <span><span class="grid-cell grid-success grid-again" aria-hidden="true"></span>tried again</span>
      </div>
    </div>`;
  }
  const run = runs[place.column];
  const step = steps[place.row];
  const cell = step === undefined ? null : cellOf(run, place.row);
  const kind = cell === null ? null : cell.kind;
  return html`<div class="grid-detail" id="grid-detail" data-testid="grid-detail">
    <div class="grid-detail-line">
      ${kind !== null && html`<span class=${`status kind-${kind}`}><${Glyph} kind=${kind} />${wordOf(kind)}</span>`}
      ${kind === null && step !== undefined && html`<span class="muted">not reached</span>`}
      ${step !== undefined && html`<strong>${step.label}</strong>`}
      ${cell !== null && cell.durationMs !== null && html`<span>${duration(cell.durationMs)}</span>`}
      ${cell !== null && cell.tried > 1 && html`<span class="muted">${attemptsOf(cell)}</span>`}
      <${Link} class="mono grid-detail-run" tabindex="-1" href=${runPath(run.runId, flowKey, { step: kind === null ? null : step.stepKey })}>${run.runId}<//>
      <span class="muted">${dateTime(run.startedAt).replace(/\.\d+$/, "")}</span>
      ${cell === null && run.durationMs !== null && html`<span>${duration(run.durationMs)}</span>`}
    </div>
    <div class="grid-detail-error mono ellipsis kind-error">${cell?.error ?? ""}</div>
  </div>`;
}
