// What is below the drawing of a graph: the way to the list of its steps, the whole of it in small, and its size.
import { html } from "../../lib/html.js";
import { Overview } from "./overview.js";

export function Tools({ graph, kindOf, view, onFit, onList }) {
  const size = `${Math.round(view.scale * 100)} %`;
  return html`<div class="graph-tools">
    <button type="button" class="graph-tool" data-testid="graph-list" onClick=${onList}>List</button>
    <${Overview} graph=${graph} kindOf=${kindOf} view=${view} />
    <div class="graph-zoom" role="group" aria-label="Size of the graph">
      <button type="button" class="graph-tool" data-testid="graph-out" title="Smaller (-)" aria-label="Smaller" onClick=${() => view.zoomOut()}>
        <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line-icon"><path d="M3 8h10" /></svg>
      </button>
      <button type="button" class="graph-tool graph-size" data-testid="graph-size" title="To the usual size"
        aria-label=${`${size}, to the usual size`} onClick=${view.normal}>${size}</button>
      <button type="button" class="graph-tool" data-testid="graph-in" title="Larger (+)" aria-label="Larger" onClick=${() => view.zoomIn()}>
        <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line-icon"><path d="M3 8h10M8 3v10" /></svg>
      </button>
      <button type="button" class="graph-tool" data-testid="graph-fit" title="As much of it as can be read (0)" onClick=${onFit}>Fit</button>
    </div>
  </div>`;
}
