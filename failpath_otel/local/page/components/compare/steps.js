// The steps of two runs below each other: first those that differ, then, folded, the others.
import { html, useMemo, useRef, useState } from "../../lib/html.js";
import { duration, plural } from "../../lib/format.js";
import { memo } from "../../lib/memo.js";
import { Link, navigate, runPath } from "../../lib/router.js";
import { useRows } from "../../lib/rows.js";
import { Status } from "../../lib/status.js";
import { useVirtual } from "../../lib/virtual.js";

const ROW = 52;
const WORDS = {
  missing: "not in this run",
  pending: "not reached yet",
  new: "only in this run",
  outcome: "other outcome",
  error: "other error",
  slower: "slower",
  faster: "faster",
  attempts: "attempts differ",
  metadata: "metadata differs",
};
const BAD = new Set(["missing", "error", "slower"]);
const FAINT = new Set(["metadata", "pending"]);
const GROUPS = ["differs", "metadata", "same"];
const TITLES = {
  differs: (number) => `${plural(number, "step differs", "steps differ")}`,
  metadata: (number) => `${plural(number, "step differs", "steps differ")} in metadata alone`,
  same: (number) => `${plural(number, "step is", "steps are")} the same`,
};

export function groupOf({ differs }) {
  if (differs.some((kind) => !FAINT.has(kind))) return "differs";
  return differs.includes("metadata") ? "metadata" : "same";
}

// `own` and `other` are the rows of the runs.
export function Steps({ steps, own, other }) {
  const [opened, setOpened] = useState({});
  const still = useRef({ inside: false, groups: new Map() }).current;
  const groups = useMemo(() => grouped(steps, still), [steps]);
  const longest = useMemo(() => Math.max(1, ...steps.flatMap((step) => [step.own?.durationMs ?? 0, step.other?.durationMs ?? 0])), [steps]);
  const first = GROUPS.find((name) => groups[name].length > 0);
  const isOpen = (name) => opened[name] ?? name === first;

  const entries = GROUPS.flatMap((name) => {
    if (groups[name].length === 0) return [];
    const head = { key: `group ${name}`, name };
    return isOpen(name) ? [head, ...groups[name].map((step) => ({ key: step.stepKey, step }))] : [head];
  });
  const items = entries.filter(({ step }) => step !== undefined);
  const { row, selected } = useRows(items, {
    failed: ({ step }) => step.own?.status === "error",
    open: ({ step }) => navigate(pathOf(step, own, other)),
  });
  const list = useVirtual(entries.length, { height: ROW, keyOf: (index) => entries[index].key, keep: [selected], measured: true });

  return html`<div class="compare-steps card" role="table" aria-label="Steps of both runs" data-testid="compare-steps"
    aria-rowcount=${entries.length + 1} onPointerEnter=${() => (still.inside = true)} onPointerLeave=${() => (still.inside = false)}>
    <div role="rowgroup" class="compare-heads">
      <div role="row" class="compare-row compare-head" aria-rowindex="1">
        <div role="columnheader">Step</div>
        <div role="columnheader" class="ellipsis">This run</div>
        <div role="columnheader" class="ellipsis">Against</div>
        <div role="columnheader" class="compare-bars-head">Durations</div>
        <div role="columnheader" class="number">Difference</div>
      </div>
    </div>
    <div role="rowgroup" ref=${list.ref}>
      ${list.render((index, { key, "data-at": at }) => {
        const { step, name } = entries[index];
        const attributes = { "data-at": at, "aria-rowindex": index + 2 };
        if (step === undefined) {
          return html`<${GroupHead} key=${key} name=${name} number=${groups[name].length} open=${isOpen(name)} attributes=${attributes}
            onToggle=${() => setOpened({ ...opened, [name]: !isOpen(name) })} />`;
        }
        return html`<${Step} key=${key} step=${step} own=${own} other=${other} longest=${longest} selected=${key === selected}
          place=${index} attributes=${{ ...attributes, ...row(key) }} />`;
      })}
    </div>
  </div>`;
}

// Under the pointer a step stays in the group that it was in.
function grouped(steps, still) {
  const found = { differs: [], metadata: [], same: [] };
  for (const step of steps) {
    const name = (still.inside && still.groups.get(step.stepKey)) || groupOf(step);
    still.groups.set(step.stepKey, name);
    found[name].push(step);
  }
  return found;
}

function pathOf(step, own, other) {
  const run = step.own === null ? other : own;
  return runPath(run.runId, run.flowKey, { step: step.stepKey });
}

function GroupHead({ name, number, open, onToggle, attributes }) {
  return html`<div role="row" class="compare-group" ...${attributes}>
    <div role="cell" aria-colspan="5">
      <button type="button" data-testid="compare-group" data-group=${name} aria-expanded=${open ? "true" : "false"} onClick=${onToggle}>
        <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" class="line-icon"><path d=${open ? "m3 6 5 5 5-5" : "m6 3 5 5-5 5"} /></svg>
        ${TITLES[name](number)}
      </button>
    </div>
  </div>`;
}

const Step = memo(({ step, own, other, longest, attributes }) => {
  const difference = step.differenceMs;
  return html`<div role="row" class="list-row compare-step" data-testid="compare-step" data-step=${step.stepKey}
    data-differs=${step.differs.join(" ")} ...${attributes}>
    <div class="compare-row" role="presentation">
      <div role="cell" class="compare-name" style=${step.depth > 0 ? { paddingLeft: `${16 + 12 * step.depth}px` } : undefined}>
        <${Link} href=${pathOf(step, own, other)} class="row-link ellipsis" data-row-link title=${step.stepKey}>${step.label}<//>
        <span class="compare-words">${step.differs.map((kind) => html`<span key=${kind} class=${toneOf(kind, step)}>${WORDS[kind]}</span>`)}</span>
      </div>
      <div role="cell" class="compare-side"><${Side} side=${step.own} run=${own} /></div>
      <div role="cell" class="compare-side"><${Side} side=${step.other} run=${other} /></div>
      <div role="cell" class="compare-bars"><${Bars} step=${step} longest=${longest} /></div>
      <div role="cell" class="number compare-difference">
        ${difference !== null && html`<span class=${step.differs.includes("slower") ? "kind-error" : step.differs.includes("faster") ? "kind-success" : "muted"}
          title=${step.p50Ms === null ? "too few runs to know what is usual" : `usually ${duration(step.p50Ms)}, p95 ${duration(step.p95Ms)}`}>
          <span>${signed(difference)}</span> <span class="compare-factor">${factor(step.factor)}</span></span>`}
      </div>
    </div>
    <${More} step=${step} />
  </div>`;
});

function toneOf(kind, { own }) {
  if (FAINT.has(kind)) return "muted";
  if (BAD.has(kind) || (kind === "outcome" && own?.status === "error")) return "kind-error";
  return kind === "faster" || kind === "outcome" ? "kind-success" : "kind-silent";
}

function Side({ side, run }) {
  if (side === null) return html`<span class="muted">–</span>`;
  return html`<${Status} status=${side.status} liveness=${run.liveness} />
    <span class="compare-took">${side.durationMs === null ? "" : duration(side.durationMs)}</span>
    ${side.attempts > 1 && html`<span class="sub">${plural(side.attempts, "attempt")}, ${side.failedAttempts} failed</span>`}`;
}

function Bars({ step, longest }) {
  const bar = (side, name) =>
    side !== null && side.durationMs !== null
      ? html`<span class=${`compare-bar compare-bar-${name} kind-${side.status}`} style=${{ width: `${((100 * side.durationMs) / longest).toFixed(2)}%` }}></span>`
      : html`<span class="compare-bar"></span>`;
  return html`<span aria-hidden="true" class="compare-pair">${bar(step.own, "own")}${bar(step.other, "other")}</span>`;
}

// The errors and the metadata that differ.
function More({ step }) {
  const errors = [step.own, step.other].map((side) => (side?.errorName ? `${side.errorName}: ${side.errorMessage}` : null));
  const shown = errors[0] === errors[1] ? errors.slice(0, 1) : errors;
  if (shown.every((text) => text === null) && step.metadata.length === 0) return null;
  return html`<div class="compare-more" role="cell">
    ${shown[0] && html`<p class="kind-error compare-error" data-testid="compare-error">${shown[0]}</p>`}
    ${shown[1] && html`<p class="muted compare-error">against ${shown[1]}</p>`}
    <${Changes} changes=${step.metadata} more=${step.moreMetadata} />
  </div>`;
}

export function Changes({ changes, more = 0 }) {
  if (changes.length === 0) return null;
  return html`<ul class="compare-changes">
    ${changes.map(({ key, own, other }) => html`<li key=${key} data-testid="compare-change" data-key=${key}>
      <span class="muted">${key}</span> <${Value} text=${own} /> <span class="muted">against</span> <${Value} text=${other} />
    </li>`)}
    ${more > 0 && html`<li class="muted">and ${plural(more, "value")} more</li>`}
  </ul>`;
}

function Value({ text }) {
  if (text === null) return html`<span class="muted">nothing</span>`;
  return html`<code class="compare-value">${text}</code>`;
}

export function signed(ms) {
  if (ms === 0) return "±0";
  return `${ms > 0 ? "+" : "−"}${duration(Math.abs(ms))}`;
}

export function factor(times) {
  if (times === null) return "";
  return `${times >= 9.95 ? Math.round(times).toLocaleString("en-US") : times >= 0.095 ? times.toFixed(1) : times.toFixed(2)}×`;
}
