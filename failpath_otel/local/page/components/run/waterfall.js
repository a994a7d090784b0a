// The waterfall of a run: a row for each attempt, its bar where it was in time; inside of others it is indented.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { instant, isGrowing } from "../../lib/attempts.js";
import { useReducedMotion } from "../elapsed.js";
import { memo } from "../../lib/memo.js";
import { Length } from "../flow/node.js";
import { reach, tickLabel, ticks } from "./scale.js";
import { Glyph, look } from "../../lib/status.js";
import { plural } from "../../lib/format.js";
import { serverNow } from "../../lib/stream.js";
import { useVirtual } from "../../lib/virtual.js";

const LAST_LABEL = 0.96; // A label further right would be cut off.
const DEEPEST = 5; // Levels that are indented; further in a number says how deep it is, so that the name stays in sight.
const ROW = 32;

// `rows` as they are shown (nesting.js), of a `tree` or a list; `folded` are names of rows; `labels` and `p50Ms` by step
// key; `selected` is the name of an attempt; `onFold(name, state)` folds a row, or unfolds it.
// `opening`: a ref of the name of the attempt that was selected without the user, if one was.
export function Waterfall({ run, rows, tree, folded, labels, p50Ms, selected, opening, onSelect, onFold }) {
  const axis = useAxis(run);
  const tried = useMemo(() => repeated(run.steps), [run]);
  const active = rows.findIndex(({ name }) => name === selected);
  const list = useVirtual(rows.length, { height: ROW, keyOf: (index) => rows[index].name, keep: active < 0 ? [] : [selected] });

  useReveal(list.ref, axis.box, selected, opening);

  const marks = ticks(axis.total, axis.most);
  const percent = (at) => `${(100 * at) / axis.total}%`;
  return html`<div class=${`waterfall${tree ? " waterfall-tree" : ""}`} data-testid="waterfall" ref=${axis.box} data-total=${axis.total}>
    <div class="axis" aria-hidden="true">
      <div class="axis-track">
        ${marks.map((at) => html`<span key=${at} class="tick" style=${{ left: percent(at) }}>${at < LAST_LABEL * axis.total && html`<span>${tickLabel(at)}</span>`}</span>`)}
      </div>
    </div>
    <div class="rows-box">
      <div class="grid-lines" aria-hidden="true">
        ${marks.map((at) => html`<span key=${at} class="tick" style=${{ left: percent(at) }}></span>`)}
      </div>
      <div
        class="attempt-rows"
        role=${tree ? "tree" : "listbox"}
        aria-label="Attempts of the steps"
        aria-activedescendant=${active < 0 ? undefined : `attempt-${active}`}
        tabindex="0"
        ref=${list.ref}
      >
        ${list.render((index, place) => {
          const { step, name } = rows[index];
          return html`<${Row}
            ...${place}
            id=${`attempt-${index}`}
            row=${rows[index]}
            tree=${tree}
            folded=${folded.has(name)}
            label=${labels.get(step.stepKey) ?? step.stepKey}
            repeated=${tried.has(step.stepKey)}
            start=${axis.start}
            p50Ms=${p50Ms[step.stepKey] ?? null}
            selected=${index === active}
            onSelect=${onSelect}
            onFold=${onFold}
          />`;
        })}
      </div>
    </div>
  </div>`;
}

// Keeps the selected row in sight; within the waterfall only, so that a page that was just opened stays at its top, if
// it is what the page opened with.
function useReveal(list, box, selected, opening) {
  const opened = useRef(false);
  useEffect(() => {
    const row = selected === null ? null : list.current.querySelector("[aria-selected=true]");
    if (row !== null && opened.current && opening.current !== selected) row.scrollIntoView({ block: "nearest" });
    else if (row !== null) {
      const { top, bottom } = box.current.getBoundingClientRect();
      const place = row.getBoundingClientRect();
      const end = Math.max(top + 3 * row.clientHeight, Math.min(bottom, window.innerHeight));
      if (place.bottom > end) box.current.scrollTop += place.top - top - (end - top) / 3;
    }
    opened.current = true;
    if (row !== null) opening.current = null;
  }, [selected]);
}

function repeated(steps) {
  return new Set(steps.filter((step) => step.attempt > 1).map((step) => step.stepKey));
}

// The axis lives in custom properties of the box: when time goes on, the rows need no new render.
function useAxis(run) {
  const box = useRef(null);
  const reduced = useReducedMotion();
  const start = instant(run.startedAt);
  const growing = run.steps.some(isGrowing);
  const settled = useMemo(() => lastMoment(run, start), [run, start]);
  const now = () => Math.max(settled, growing ? serverNow() - start : 0);
  const [, jumped] = useState(0);
  // What was cut off has no end: its bars run out to the right of all that is known.
  const cutOff = run.status === "running" && !growing;
  const total = reach(cutOff ? Math.max(1000, settled * 1.15) : now(), growing);
  const most = useMost(box);

  useLayoutEffect(() => {
    box.current.style.setProperty("--total", String(total));
    box.current.style.setProperty("--now", String(growing ? now() : total));
    if (!growing) return undefined;
    const grow = () => {
      const elapsed = now();
      box.current.style.setProperty("--now", String(elapsed));
      if (elapsed >= total) jumped(elapsed);
    };
    if (reduced) {
      const timer = setInterval(grow, 1000);
      return () => clearInterval(timer);
    }
    let frame = requestAnimationFrame(function again() {
      grow();
      frame = requestAnimationFrame(again);
    });
    return () => cancelAnimationFrame(frame);
  }, [total, growing, settled, start, reduced]);

  return { box, start, total, most };
}

// How many ticks there is room for.
function useMost(box) {
  const [most, setMost] = useState(6);
  useEffect(() => {
    const element = box.current; // The reference ends before the effect does.
    const watcher = new ResizeObserver(() => {
      const width = element.querySelector(".axis-track").clientWidth;
      setMost(Math.max(2, Math.min(10, Math.floor(width / 96))));
    });
    watcher.observe(element);
    return () => watcher.disconnect();
  }, []);
  return most;
}

function lastMoment(run, start) {
  return run.steps.reduce((last, step) => Math.max(last, instant(step.endedAt ?? step.startedAt) - start), 0);
}

const share = (text) => `calc(${text} / var(--total) * 100%)`;

const Row = memo(({ id, row, tree, folded, label, repeated: again, start, p50Ms, selected, onSelect, onFold, ...place }) => {
  const { step, depth, inside } = row;
  const { kind, word } = look(step.status, step.liveness);
  const level = { "aria-level": depth + 1, "aria-setsize": row.among, "aria-posinset": row.place };
  const expanded = inside > 0 ? { "aria-expanded": folded ? "false" : "true" } : {};
  return html`<div
    ...${place}
    class=${`attempt-row row-${kind}`}
    id=${id}
    role=${tree ? "treeitem" : "option"}
    aria-selected=${selected ? "true" : "false"}
    ...${tree ? { ...level, ...expanded } : {}}
    data-depth=${depth}
    onClick=${() => onSelect(step)}
  >
    <div class=${`attempt-name${tree ? " attempt-nested" : ""}`}>
      ${tree && html`<${Fold} row=${row} folded=${folded} onFold=${onFold} />`}
      <span class=${`attempt-glyph kind-${kind}`}><${Glyph} kind=${kind} /><span class="visually-hidden">${word}</span></span>
      <span class="attempt-label" title=${step.stepKey}>${label}</span>
      ${again && html`<span class="attempt-number"><span class="visually-hidden">attempt </span>#${step.attempt}</span>`}
      ${folded && inside > 0 && html`<${Inside} row=${row} />`}
      <span class="attempt-length"><${Length} step=${step} /></span>
    </div>
    <div class="track" aria-hidden="true"><${Bar} step=${step} kind=${kind} start=${start} p50Ms=${p50Ms} /></div>
  </div>`;
});

// Of a mouse; keys fold the selected row, and `aria-expanded` says so of it.
function Fold({ row, folded, onFold }) {
  const toggle = (event) => {
    event.stopPropagation();
    onFold(row.name, !folded);
  };
  return html`
    <span class="attempt-indent" style=${{ width: `${Math.min(row.depth, DEEPEST) * 12}px` }}></span>
    ${row.depth > DEEPEST && html`<span class="attempt-depth" title=${`Inside ${plural(row.depth, "step")}`}>${row.depth}</span>`}
    ${row.inside > 0
      ? html`<span class=${`fold${folded ? " folded" : ""}`} data-testid="fold" title=${folded ? "Unfold (→)" : "Fold (←)"} onClick=${toggle}>
          <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" class="line-icon"><path d="m4 6 4 4 4-4" /></svg>
        </span>`
      : html`<span class="fold-none"></span>`}
  `;
}

// What is folded away: how many attempts, and the worst state of them.
function Inside({ row }) {
  const { word } = look(...(["gone", "silent"].includes(row.worst) ? ["running", row.worst] : [row.worst, null]));
  return html`<span class=${`inside kind-${row.worst}`} data-testid="inside" data-kind=${row.worst} title=${`${plural(row.inside, "attempt")} inside, at worst: ${word}`}>
    <${Glyph} kind=${row.worst} />${row.inside}<span class="visually-hidden"> inside, at worst: ${word}</span>
  </span>`;
}

function Bar({ step, kind, start, p50Ms }) {
  const from = instant(step.startedAt ?? step.endedAt) - start;
  const facts = { "data-testid": "bar", "data-step": step.stepKey, "data-attempt": step.attempt, "data-kind": kind };
  if (step.startedAt === null) return html`<span class=${`instant bar-${kind}`} ...${facts} style=${{ left: share(from) }}></span>`;
  const to = step.endedAt === null ? "var(--now)" : String(instant(step.endedAt) - start);
  const usual = p50Ms === null ? null : from + p50Ms;
  return html`
    <span class=${`bar bar-${kind}`} ...${facts} style=${{ left: share(from), width: `calc((${to} - ${from}) / var(--total) * 100%)` }}></span>
    ${usual !== null && html`<span class="usual" style=${{ left: share(usual) }}></span>`}
  `;
}

