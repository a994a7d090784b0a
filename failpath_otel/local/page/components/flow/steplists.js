// Lists of steps beside a graph: its nodes, where it is too large to be drawn or a list is asked for, and the members of
// a folded one.
import { html, useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { useResource } from "../../lib/api.js";
import { count, plural } from "../../lib/format.js";
import { Failure } from "../parts.js";
import { rowsOf, StepRows } from "./steprows.js";

const SEARCHED_FROM = 12;

// `onDraw` leads to the drawing; null where there is none.
export function NodeList({ graph, name, states, selected, onSelect, onDraw }) {
  const rows = useMemo(() => rowsOf(graph.nodes, states), [graph, states]);
  const note = onDraw === null ? "too many for a drawing; worst first" : "worst first";
  return html`<div class="graph-frame" data-testid="graph-as-list" role="region" aria-label=${`Steps of ${name}`}>
    <${Searched} rows=${rows} name=${`Steps of ${name}`} note=${note} onRun=${states !== null} selected=${selected} onSelect=${onSelect} />
    ${onDraw !== null &&
    html`<div class="graph-tools"><button type="button" class="graph-tool" data-testid="graph-draw" onClick=${onDraw}>Drawing</button></div>`}
  </div>`;
}

// The members of a folded node. On a flow `path` is where their figures are, on a run their states are known.
export function Members({ node, states, path, selected, onSelect, onClose }) {
  const { data, error, reload, reloadSoon } = useResource(path, { every: 1000 });
  const section = useRef(null);
  useEffect(() => {
    if (path !== null) reloadSoon();
  }, [node]);
  const nodes = useMemo(() => {
    if (path !== null) return data?.steps ?? [];
    return node.members.map((key) => ({ stepKey: key, label: key }));
  }, [node, path, data]);
  const rows = useMemo(() => rowsOf(nodes, states), [nodes, states]);
  // From the node in the drawing the focus goes into its list, and back.
  const waiting = useRef(true);
  useEffect(() => {
    if (!waiting.current || rows.length === 0) return;
    waiting.current = false;
    if (document.activeElement?.closest(".node, .step-row-name")) section.current.querySelector("button[tabindex='0']")?.focus();
  }, [rows]);
  const close = () => {
    const opener = document.querySelector("[data-testid=node][aria-expanded=true]");
    onClose();
    opener?.focus();
  };
  const escape = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    close();
  };
  const name = `Steps of ${node.label}`;
  return html`<section class="members" data-testid="members" aria-label=${name} ref=${section} onKeyDown=${escape}>
    <div class="members-head">
      <${states === null ? "h3" : "h2"} class="ellipsis">${node.label}<//>
      <button type="button" class="button button-small" data-testid="members-close" onClick=${close}>Close the list</button>
    </div>
    ${error !== null && data === null
      ? html`<${Failure} what="The list" error=${error} retry=${reload} />`
      : html`<${Searched} rows=${rows} name=${name} note="worst first" onRun=${states !== null} selected=${selected} onSelect=${onSelect} />`}
  </section>`;
}

function Searched({ rows, name, note, onRun, selected, onSelect }) {
  const [text, setText] = useState("");
  const found = useMemo(() => {
    const wanted = text.trim().toLowerCase();
    if (wanted === "") return rows;
    return rows.filter(({ key, node }) => key.toLowerCase().includes(wanted) || node.label.toLowerCase().includes(wanted));
  }, [rows, text]);
  const failing = rows.filter(({ kind }) => kind === "error").length;
  const all = plural(rows.length, "step");
  return html`
    <div class="steps-head">
      ${rows.length >= SEARCHED_FROM &&
      html`<input class="field" type="search" placeholder="Find a step" aria-label="Find a step" data-testid="step-search" value=${text}
        onInput=${(event) => setText(event.target.value)} />`}
      <p class="muted" aria-live="polite">
        ${found.length === rows.length ? all : `${count(found.length)} of ${all}`}${failing > 0 ? `, ${count(failing)} ${onRun ? "failed" : "with failures"}` : ""}; ${note}
      </p>
    </div>
    ${found.length === 0
      ? html`<p class="card-note muted">${rows.length === 0 ? "No step is known yet." : "No step has this in its name."}</p>`
      : html`<${StepRows} rows=${found} name=${name} onRun=${onRun} selected=${selected} onSelect=${onSelect} />`}
  `;
}
