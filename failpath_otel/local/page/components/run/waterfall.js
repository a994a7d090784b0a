// The waterfall of a run: a row for each attempt, its bar where it was in time.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { instant, isGrowing, nameOf } from "../../lib/attempts.js";
import { useReducedMotion } from "../elapsed.js";
import { memo } from "../../lib/memo.js";
import { Length } from "../flow/node.js";
import { reach, tickLabel, ticks } from "./scale.js";
import { Glyph, look } from "../../lib/status.js";
import { serverNow } from "../../lib/stream.js";

const LAST_LABEL = 0.96; // A label further right would be cut off.

// `steps` in the order of the rows; `labels` by step key; `p50Ms` by step key; `selected` is the name of an attempt.
export function Waterfall({ run, steps, labels, p50Ms, selected, onSelect }) {
  const axis = useAxis(run);
  const list = useRef(null);
  const tried = useMemo(() => repeated(run.steps), [run]);

  useReveal(list, axis.box, selected);

  const marks = ticks(axis.total, axis.most);
  const percent = (at) => `${(100 * at) / axis.total}%`;
  const active = steps.findIndex((step) => nameOf(step) === selected);
  return html`<div class="waterfall" data-testid="waterfall" ref=${axis.box} data-total=${axis.total}>
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
        role="listbox"
        aria-label="Attempts of the steps"
        aria-activedescendant=${active < 0 ? undefined : `attempt-${active}`}
        tabindex="0"
        ref=${list}
      >
        ${steps.map(
          (step, index) => html`<${Row}
            key=${nameOf(step)}
            id=${`attempt-${index}`}
            step=${step}
            label=${labels.get(step.stepKey) ?? step.stepKey}
            repeated=${tried.has(step.stepKey)}
            start=${axis.start}
            p50Ms=${p50Ms[step.stepKey] ?? null}
            selected=${index === active}
            onSelect=${onSelect}
          />`,
        )}
      </div>
    </div>
  </div>`;
}

// Keeps the selected row in sight: at first within the waterfall only, so that a page that was just opened stays at its top.
function useReveal(list, box, selected) {
  const opened = useRef(false);
  useEffect(() => {
    const row = selected === null ? null : list.current.querySelector("[aria-selected=true]");
    if (row !== null && opened.current) row.scrollIntoView({ block: "nearest" });
    else if (row !== null) {
      const hidden = row.getBoundingClientRect().bottom - box.current.getBoundingClientRect().bottom;
      if (hidden > 0) box.current.scrollTop += hidden + row.clientHeight;
    }
    opened.current = true;
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

const Row = memo(({ id, step, label, repeated: again, start, p50Ms, selected, onSelect }) => {
  const { kind, word } = look(step.status, step.liveness);
  return html`<div
    class=${`attempt-row row-${kind}`}
    id=${id}
    role="option"
    aria-selected=${selected ? "true" : "false"}
    onClick=${() => onSelect(step)}
  >
    <div class="attempt-name">
      <span class=${`kind-${kind}`}><${Glyph} kind=${kind} /><span class="visually-hidden">${word}</span></span>
      <span class="attempt-label" title=${step.stepKey}>${label}</span>
      ${again && html`<span class="attempt-number"><span class="visually-hidden">attempt </span>#${step.attempt}</span>`}
      <span class="attempt-length"><${Length} step=${step} /></span>
    </div>
    <div class="track" aria-hidden="true"><${Bar} step=${step} kind=${kind} start=${start} p50Ms=${p50Ms} /></div>
  </div>`;
});

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

