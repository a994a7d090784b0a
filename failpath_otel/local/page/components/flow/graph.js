// The graph of a flow or of a run: its drawing, or a list of its steps where that says more, and what is folded in it.
import { html, useCallback, useMemo, useState } from "../../lib/html.js";
import { Drawing } from "./drawing.js";
import { foldedState, isFolded } from "./folded.js";
import { Members, NodeList } from "./steplists.js";

// `states` (step key -> what happened to it in one run) makes it the graph of a run. `onSelect(stepKey)`; on a flow,
// what is selected may be a folded node, or a step inside of it, and again nothing when it is chosen once more.
// `membersOf(stepKey)` is the path of what the API knows of the steps that such a node stands for, on a flow.
export function Graph({ graph, name, runs, states = null, selected = null, onSelect, membersOf = null }) {
  const [asList, setAsList] = useState(false);
  const [opened, setOpened] = useState(null);
  const byNode = useMemo(() => statesOfNodes(graph.nodes, states), [graph, states]);
  const folded = useMemo(() => graph.nodes.filter(isFolded), [graph]);
  const onRun = states !== null;

  const choose = useCallback(
    (stepKey) => {
      if (onRun && folded.some((node) => node.stepKey === stepKey)) setOpened((before) => (before === stepKey ? null : stepKey));
      else onSelect(stepKey);
    },
    [folded, onRun, onSelect],
  );
  // A folded node stands for the step that is selected inside of it.
  const holding = folded.find(({ stepKey, members }) => stepKey === selected || members.includes(selected)) ?? null;
  const open = onRun ? (folded.find(({ stepKey }) => stepKey === opened) ?? null) : holding;
  const close = () => (onRun ? setOpened(null) : onSelect(selected));

  const shown = { graph, name, runs, states: byNode, opened: open?.stepKey ?? null, onSelect: choose };
  return html`
    ${graph.listed || asList
      ? html`<${NodeList} ...${shown} selected=${selected} onDraw=${graph.listed ? null : () => setAsList(false)} />`
      : html`<${Drawing} ...${shown} selected=${holding?.stepKey ?? selected} onList=${() => setAsList(true)} />`}
    ${open !== null &&
    html`<${Members} key=${open.stepKey} node=${open} states=${states} path=${membersOf?.(open.stepKey) ?? null}
      selected=${selected} onSelect=${onSelect} onClose=${close} />`}
  `;
}

function statesOfNodes(nodes, states) {
  if (states === null) return null;
  const found = new Map(states);
  for (const node of nodes) if (isFolded(node)) found.set(node.stepKey, foldedState(node, states));
  return found;
}
