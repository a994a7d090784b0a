// Steps as the rows of a table, worst first: of a flow with their figures, of a run with what happened to them.
import { html, useLayoutEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { count, duration, NONE, plural, rate } from "../../lib/format.js";
import { Glyph } from "../../lib/status.js";
import { useVirtual } from "../../lib/virtual.js";
import { isFolded } from "./folded.js";
import { Length } from "./node.js";
import { urgency } from "./sight.js";

const ROW = 33;
const PAGE = 12; // Rows that PageDown moves.

// Of each node a row. `states` is null on a flow.
export function rowsOf(nodes, states) {
  return nodes.map((node) => {
    const state = states?.get(node.stepKey) ?? null;
    const kind = states === null ? kindOf(node) : (state?.kind ?? "none");
    return { key: node.stepKey, node, state, kind, weight: urgency(node, states === null ? null : kind) };
  });
}

// How a step is on the whole, by its figures.
function kindOf(node) {
  if (node.failed > 0) return "error";
  if (node.gone > 0) return "gone";
  if (node.running > 0) return "running";
  return node.ended > 0 ? "success" : "none";
}

export function StepRows({ rows, name, onRun, selected, onSelect }) {
  const list = useRef(null);
  const { ordered, ...holding } = useOrder(rows);
  const [active, setActive] = useState(null);
  const awaited = useRef(false);
  const current = ordered.some(({ key }) => key === active) ? active : (ordered.find(({ key }) => key === selected)?.key ?? ordered[0]?.key);
  const part = useVirtual(ordered.length, { height: ROW, keyOf: (index) => ordered[index].key, keep: [current], table: true });

  useLayoutEffect(() => {
    if (!awaited.current) return;
    awaited.current = false;
    const button = list.current.querySelector("button[tabindex='0']");
    button?.focus({ preventScroll: true });
    button?.closest("tr").scrollIntoView({ block: "nearest" });
  });

  const move = (event) => {
    const at = ordered.findIndex(({ key }) => key === current);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + PAGE, PageUp: at - PAGE, Home: 0, End: ordered.length - 1 }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    awaited.current = true;
    setActive(ordered[Math.min(Math.max(to, 0), ordered.length - 1)].key);
  };

  const hasFigures = rows.some(({ node }) => node.p50Ms !== undefined);
  const columns = onRun ? RUN_COLUMNS.filter(({ ofFlow }) => hasFigures || !ofFlow) : FLOW_COLUMNS;
  return html`<div class="step-rows" ref=${list} ...${holding} onKeyDown=${move}>
    <table aria-label=${name} ...${part.list}>
      <thead>
        <tr>
          <th scope="col">Step</th>
          ${columns.map(({ title, narrow }) => html`<th scope="col" class=${`number ${narrow ?? ""}`}>${title}</th>`)}
        </tr>
      </thead>
      <tbody ref=${part.ref}>
        ${part.render((index, attributes) => {
          const { key, node, state, kind } = ordered[index];
          return html`<tr data-testid="step-row" data-step=${key} data-kind=${kind} class=${key === selected ? "step-row-selected" : ""} ...${attributes}>
            <td>
              <button type="button" class="step-row-name" tabindex=${key === current ? "0" : "-1"} aria-current=${key === selected ? "true" : undefined}
                disabled=${onRun && kind === "none"} title=${node.label === key ? key : `${node.label} (${key})`}
                onFocus=${() => setActive(key)} onClick=${() => onSelect(key)}>
                <span class=${`kind-${kind}`}>${kind === "none" ? html`<span class="step-row-blank"></span>` : html`<${Glyph} kind=${kind} />`}<span class="visually-hidden">${spoken(kind, onRun)}</span></span>
                <span class="ellipsis">${node.label}</span>
                ${isFolded(node) && html`<span class="muted">${plural(node.members.length, "step")}</span>`}
              </button>
            </td>
            ${columns.map(({ value, narrow }) => html`<td class=${`number ${narrow ?? ""}`}>${value(node, state)}</td>`)}
          </tr>`;
        })}
      </tbody>
    </table>
  </div>`;
}

function spoken(kind, onRun) {
  if (onRun) return kind === "none" ? "not reached" : kind;
  return { error: "fails", gone: "its process is gone", running: "runs now" }[kind] ?? "";
}

const FLOW_COLUMNS = [
  { title: "Runs", value: (node) => count(node.runs), narrow: "step-wide" },
  { title: "Failed", value: (node) => rate(node.failureRate) },
  { title: "p50", value: (node) => duration(node.p50Ms), narrow: "step-wide" },
  { title: "p95", value: (node) => duration(node.p95Ms) },
];

const RUN_COLUMNS = [
  { title: "Attempts", value: (_, state) => (state?.attempts ? count(state.attempts) : NONE), narrow: "step-wide" },
  { title: "Duration", value: (_, state) => (state?.newest ? html`<${Length} step=${state.newest} />` : NONE) },
  { title: "p50", value: (node) => duration(node.p50Ms), narrow: "step-wide", ofFlow: true },
];

// Worst first; but while the pointer or the focus is in the list, its rows stay where they are.
function useOrder(rows) {
  const [held, setHeld] = useState({ pointer: false, focus: false });
  const places = useRef(new Map()).current;
  const ordered = useMemo(() => {
    const still = (held.pointer || held.focus) && places.size > 0;
    const place = still ? ({ key }) => places.get(key) ?? Infinity : () => 0;
    const sorted = [...rows].sort((a, b) => place(a) - place(b) || b.weight - a.weight || (b.node.failed ?? 0) - (a.node.failed ?? 0));
    places.clear();
    for (const [index, { key }] of sorted.entries()) places.set(key, index);
    return sorted;
  }, [rows, held]);
  const hold = (name, value) => () => setHeld((before) => (before[name] === value ? before : { ...before, [name]: value }));
  return {
    ordered,
    onPointerEnter: hold("pointer", true),
    onPointerLeave: hold("pointer", false),
    onFocusIn: hold("focus", true),
    onFocusOut: hold("focus", false),
  };
}
