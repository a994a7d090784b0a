// A graph as SVG, drawn where the receiver has placed it, so that nodes never move when something happens.
import { html, useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { plural } from "../../lib/format.js";
import { memo } from "../../lib/memo.js";
import { Arrows, Edge } from "./edge.js";
import { foldedBrief, FoldedFlowNode, foldedLabel, FoldedRunNode, isFolded, Stack } from "./folded.js";
import { BriefNode, briefWords, FlowNode, nodeLabel, RunNode } from "./node.js";
import { areaOf, urgentArea } from "./sight.js";
import { Tools } from "./tools.js";
import { textAt, useViewport } from "./viewport.js";

const ALL_IN_TAB_ORDER = 40;
const AT_ONCE = 100; // A larger graph is drawn after the rest of the page, in the space that is kept for it.

// `states` by the keys of nodes, null on a flow; `opened` is the key of the folded node whose members are shown.
export function Drawing({ graph, name, runs, states, selected, opened, onSelect, onList }) {
  const labels = useMemo(() => new Map(graph.nodes.map((node) => [node.stepKey, node.label])), [graph]);
  const drawn = useDrawn(graph.nodes.length <= AT_ONCE);
  const view = useViewport(graph);
  const kindOf = (node) => (states === null ? null : (states.get(node.stepKey)?.kind ?? "none"));
  const toUrgent = () => {
    const area = urgentArea(graph.nodes, kindOf, view.sight());
    if (area !== null) view.show(area);
  };
  const toFit = () => view.fit(toUrgent);
  useReveal(view, drawn, graph.nodes.find((node) => node.stepKey === selected) ?? null, toUrgent);

  const stops = tabStops(graph.nodes, selected);
  const move = (event) => {
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const nodes = [...view.box.current.querySelectorAll(".node")];
    const next = step && nodes[nodes.indexOf(event.target.closest(".node")) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  };
  const { size, isBrief } = textAt(view.scale);
  const [width, height] = [graph.width * view.scale, graph.height * view.scale];

  return html`<div class="graph-frame">
    <div
      class="graph"
      data-testid="graph"
      role="region"
      aria-label=${`Graph of ${name}`}
      aria-keyshortcuts="+ - 0"
      tabindex="0"
      ref=${view.box}
      style=${{ height: view.held === null ? "" : `${view.held}px` }}
      onKeyDown=${(event) => view.onKeyDown(event, toFit)}
    >
      <svg
        class="graph-drawing"
        viewBox=${`0 0 ${graph.width} ${graph.height}`}
        style=${{ width: `${width}px`, height: `${height}px`, "--graph-text": `${size}px` }}
        role="group"
        aria-label=${`${plural(graph.nodes.length, "step")} of ${name} and the ways between them`}
        onKeyDown=${move}
      >
        <${Arrows} size=${size} />
        <g class="edges">
          ${drawn &&
          graph.edges.map(
            (edge) => html`<${Edge}
              key=${`${edge.source}\n${edge.target}`}
              edge=${edge}
              labels=${labels}
              runs=${runs}
              faint=${states !== null && !(reached(states, edge.source) && reached(states, edge.target))}
              size=${size}
            />`,
          )}
        </g>
        ${drawn &&
        graph.nodes.map(
          (node) => html`<${Node}
            key=${node.stepKey}
            node=${node}
            kind=${kindOf(node)}
            state=${states?.get(node.stepKey) ?? null}
            size=${size}
            isBrief=${isBrief}
            tabbable=${stops === null || stops === node.stepKey}
            selected=${node.stepKey === selected}
            opened=${node.stepKey === opened}
            onSelect=${onSelect}
          />`,
        )}
      </svg>
    </div>
    <${Tools} graph=${graph} kindOf=${kindOf} view=${view} onFit=${toFit} onList=${onList} />
  </div>`;
}

const reached = (states, key) => (states.get(key)?.kind ?? "none") !== "none";

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

// Scrolls the graph (never the page) to the selected node where that is out of sight, at first to what needs eyes.
function useReveal(view, drawn, selected, toUrgent) {
  const opened = useRef(false);
  useEffect(() => {
    if (!drawn || !view.measured) return;
    if (selected !== null) view.show(areaOf(selected));
    else if (!opened.current) toUrgent();
    opened.current = true;
  }, [selected?.stepKey, drawn, view.measured]);
}

// `kind` is null on a flow; on a run `state` is null where it did not come.
const Node = memo(({ node, kind, state, size, isBrief, tabbable, selected, opened, onSelect }) => {
  const choose = () => onSelect(node.stepKey);
  const pressed = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    choose();
  };
  const folded = isFolded(node);
  const said = kind === null ? undefined : state;
  const holds = folded ? { "aria-expanded": opened ? "true" : "false" } : { "aria-pressed": selected ? "true" : "false" };
  return html`<g
    class=${`node ${kind === null ? tint(node) : `node-${kind}`}${folded ? " node-folded" : ""}${selected ? " node-selected" : ""}`}
    data-testid="node"
    data-step=${node.stepKey}
    data-kind=${kind ?? undefined}
    data-members=${folded ? node.members.length : undefined}
    transform=${`translate(${node.x} ${node.y})`}
    role="button"
    tabindex=${tabbable ? "0" : "-1"}
    aria-label=${folded ? foldedLabel(node, said) : nodeLabel(node, said)}
    aria-disabled=${kind === "none" && !folded ? "true" : undefined}
    ...${holds}
    onClick=${choose}
    onKeyDown=${pressed}
  >
    <title>${node.label === node.stepKey ? node.stepKey : `${node.label} (${node.stepKey})`}</title>
    ${folded && html`<${Stack} node=${node} />`}
    <rect class="node-halo" x="-4" y="-4" width=${node.width + 8} height=${node.height + 8} rx="12" />
    <rect class="node-box" width=${node.width} height=${node.height} rx="8" />
    <${Content} node=${node} kind=${kind} state=${state} size=${size} isBrief=${isBrief} folded=${folded} />
  </g>`;
});

function Content({ node, kind, state, size, isBrief, folded }) {
  const said = kind === null ? undefined : state;
  if (isBrief) {
    const text = folded ? foldedBrief(node, said) : briefWords(node, said);
    return html`<${BriefNode} node=${node} size=${size} text=${text} kind=${kind} />`;
  }
  const shown = { node, state, size };
  if (folded) return kind === null ? html`<${FoldedFlowNode} ...${shown} />` : html`<${FoldedRunNode} ...${shown} />`;
  return kind === null ? html`<${FlowNode} ...${shown} />` : html`<${RunNode} ...${shown} />`;
}

function tint({ failureRate, failedMembers }) {
  if (!failureRate) return "tint-0";
  if (failedMembers > 0 && failureRate < 0.2) return "tint-2"; // One of many that always fails is a small share of them.
  if (failureRate < 0.05) return "tint-1";
  if (failureRate < 0.2) return "tint-2";
  return failureRate < 0.5 ? "tint-3" : "tint-4";
}
