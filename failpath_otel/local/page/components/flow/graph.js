// The graph of a flow as SVG, drawn where the receiver has placed it, so that nodes never move when something happens.
import { html, useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { count, plural } from "../../lib/format.js";
import { memo } from "../../lib/memo.js";
import { FlowNode, nodeLabel, RunNode } from "./node.js";
import { edgePath, middle } from "../../lib/path.js";

const SMALLEST_SCALE = 0.68; // Smaller than this its text cannot be read; it scrolls instead.
const ALL_IN_TAB_ORDER = 40;
const AT_ONCE = 100; // A larger graph is drawn after the rest of the page, in the space that is kept for it.

// `states` (step key -> what happened to it in one run) makes it the graph of a run. `onSelect(stepKey)`.
export function Graph({ graph, name, runs, states = null, selected = null, onSelect }) {
  const box = useRef(null);
  const labels = useMemo(() => new Map(graph.nodes.map((node) => [node.stepKey, node.label])), [graph]);
  const drawn = useDrawn(graph.nodes.length <= AT_ONCE);
  useReveal(box, selected, drawn);

  const stops = tabStops(graph.nodes, selected);
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const nodes = [...box.current.querySelectorAll(".node")];
    const next = step && nodes[nodes.indexOf(event.target.closest(".node")) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  const scale = `clamp(${Math.round(graph.width * SMALLEST_SCALE)}px, 100%, ${Math.ceil(graph.width)}px)`;

  return html`<div
    class="graph"
    data-testid="graph"
    role="region"
    aria-label=${`Graph of ${name}`}
    tabindex="0"
    ref=${box}
  >
    <svg
      class="graph-drawing"
      viewBox=${`0 0 ${graph.width} ${graph.height}`}
      style=${{ width: scale }}
      role="group"
      aria-label=${`${plural(graph.nodes.length, "step")} of ${name} and the ways between them`}
      onKeyDown=${move}
    >
      <${Arrows} />
      <g class="edges">
        ${drawn &&
        graph.edges.map(
          (edge) => html`<${Edge}
            key=${`${edge.source}\n${edge.target}`}
            edge=${edge}
            labels=${labels}
            runs=${runs}
            faint=${states !== null && !(states.has(edge.source) && states.has(edge.target))}
          />`,
        )}
      </g>
      ${drawn &&
      graph.nodes.map((node) => {
        const state = states?.get(node.stepKey) ?? null;
        return html`<${Node}
          key=${node.stepKey}
          node=${node}
          kind=${states === null ? null : (state?.kind ?? "none")}
          state=${state}
          tabbable=${stops === null || stops === node.stepKey}
          selected=${node.stepKey === selected}
          onSelect=${onSelect}
        />`;
      })}
    </svg>
  </div>`;
}

// In a large graph Tab stops once and the arrows move; in a small one Tab reaches each node.
function tabStops(nodes, selected) {
  if (nodes.length <= ALL_IN_TAB_ORDER) return null;
  return nodes.some((node) => node.stepKey === selected) ? selected : nodes[0].stepKey;
}

function useDrawn(atOnce) {
  const [drawn, setDrawn] = useState(atOnce);
  useEffect(() => {
    if (drawn) return undefined;
    const timer = setTimeout(() => setDrawn(true), 100);
    return () => clearTimeout(timer);
  }, []);
  return drawn || atOnce;
}

// Scrolls the graph (never the page) to the selected node where that is out of sight, at first to where something is.
function useReveal(box, selected, drawn) {
  const opened = useRef(false);
  useEffect(() => {
    if (!drawn) return;
    const find = (...kinds) => kinds.map((kind) => box.current.querySelector(`.node${kind}`)).find((node) => node !== null);
    const node = opened.current
      ? find("[aria-pressed=true]")
      : find("[aria-pressed=true]", "[data-kind=error]", "[data-kind=gone]", "[data-kind=silent]", "[data-kind=running]", "");
    opened.current = true;
    if (!node) return;
    const outer = box.current.getBoundingClientRect();
    const inner = node.getBoundingClientRect();
    if (inner.left < outer.left || inner.right > outer.right) {
      box.current.scrollLeft += inner.left + inner.width / 2 - outer.left - outer.width / 2;
    }
    if (inner.top < outer.top || inner.bottom > outer.bottom) {
      box.current.scrollTop += inner.top + inner.height / 2 - outer.top - outer.height / 2;
    }
  }, [selected, drawn]);
}

function Arrows() {
  const arrow = (id) => html`<marker
    id=${id}
    class=${id}
    viewBox="0 0 10 10"
    refX="1"
    refY="5"
    markerWidth="10"
    markerHeight="10"
    markerUnits="userSpaceOnUse"
    orient="auto-start-reverse"
  >
    <path d="M0.500 0.500 8.500 5 0.500 9.500z" />
  </marker>`;
  return html`<defs>${arrow("edge-arrow")}${arrow("edge-arrow-faint")}</defs>`;
}

const Edge = memo(({ edge, labels, runs, faint }) => {
  const path = edgePath(edge.points);
  const share = runs > 0 ? Math.min(1, edge.taken / runs) : 0;
  const [x, y] = middle(edge.points);
  const number = count(edge.taken);
  const width = number.length * 7 + 12;
  const title = `${labels.get(edge.source)} to ${labels.get(edge.target)}: taken in ${plural(edge.taken, "run")}`;
  return html`<g
    class=${`edge${edge.back ? " edge-back" : ""}${faint ? " edge-faint" : ""}`}
    data-testid="edge"
    data-source=${edge.source}
    data-target=${edge.target}
    data-taken=${edge.taken}
    role="img"
    aria-label=${title}
  >
    <title>${title}</title>
    <path class="edge-reach" d=${path} />
    <path
      class="edge-line"
      d=${path}
      style=${{ strokeWidth: `${(1.25 + 2 * share).toFixed(2)}px` }}
      marker-end=${`url(#edge-arrow${faint ? "-faint" : ""})`}
    />
    <g class="edge-number" aria-hidden="true">
      <rect x=${x - width / 2} y=${y - 10} width=${width} height="20" rx="10" />
      <text x=${x} y=${y + 4} text-anchor="middle">${number}</text>
    </g>
  </g>`;
});

// `kind` is null on a flow; on a run `state` is null where it did not come.
const Node = memo(({ node, kind, state, tabbable, selected, onSelect }) => {
  const choose = () => onSelect(node.stepKey);
  const pressed = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  };
  return html`<g
    class=${`node ${kind === null ? tint(node.failureRate) : `node-${kind}`}`}
    data-testid="node"
    data-step=${node.stepKey}
    data-kind=${kind ?? undefined}
    transform=${`translate(${node.x} ${node.y})`}
    role="button"
    tabindex=${tabbable ? "0" : "-1"}
    aria-label=${nodeLabel(node, kind === null ? undefined : state)}
    aria-pressed=${selected ? "true" : "false"}
    aria-disabled=${kind === "none" ? "true" : undefined}
    onClick=${choose}
    onKeyDown=${pressed}
  >
    <title>${node.label === node.stepKey ? node.stepKey : `${node.label} (${node.stepKey})`}</title>
    <rect class="node-halo" x="-4" y="-4" width=${node.width + 8} height=${node.height + 8} rx="12" />
    <rect class="node-box" width=${node.width} height=${node.height} rx="8" />
    ${kind === null ? html`<${FlowNode} node=${node} />` : html`<${RunNode} node=${node} state=${state} />`}
  </g>`;
});

function tint(failureRate) {
  if (!failureRate) return "tint-0";
  if (failureRate < 0.05) return "tint-1";
  if (failureRate < 0.2) return "tint-2";
  return failureRate < 0.5 ? "tint-3" : "tint-4";
}
