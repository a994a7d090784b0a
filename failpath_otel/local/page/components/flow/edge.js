// An edge of a graph: what comes after, what runs again, or what runs inside, each with a line of its own.
import { html } from "../../lib/html.js";
import { count, plural } from "../../lib/format.js";
import { memo } from "../../lib/memo.js";
import { edgePath, middle } from "../../lib/path.js";

// What is not to become smaller with the drawing is drawn as much larger as its text, whose usual size this is.
const larger = (size) => size / 12;

// The arrows' heads, in two colours.
export function Arrows({ size: text }) {
  const size = 10 * larger(text);
  const arrow = (id) => html`<marker
    id=${id}
    class=${id}
    viewBox="0 0 10 10"
    refX="1"
    refY="5"
    markerWidth=${size}
    markerHeight=${size}
    markerUnits="userSpaceOnUse"
    orient="auto-start-reverse"
  >
    <path d="M0.500 0.500 8.500 5 0.500 9.500z" />
  </marker>`;
  return html`<defs>${arrow("edge-arrow")}${arrow("edge-arrow-faint")}</defs>`;
}

function words(kind, source, target, taken) {
  const often = `in ${plural(taken, "run")}`;
  if (kind === "back") return `${source} back to ${target}: ${often}`;
  if (kind === "inside") return `${target} inside ${source}, among the first: ${often}`;
  return `${source} to ${target}: taken ${often}`;
}

export const Edge = memo(({ edge, labels, runs, faint, size }) => {
  const kind = edge.kind ?? (edge.back ? "back" : "next");
  const path = edgePath(edge.points, larger(size));
  const share = runs > 0 ? Math.min(1, edge.taken / runs) : 0;
  const [x, y] = middle(edge.points);
  const number = count(edge.taken);
  const width = number.length * 7.2 + 12;
  const title = words(kind, labels.get(edge.source), labels.get(edge.target), edge.taken);
  return html`<g
    class=${`edge edge-${kind}${faint ? " edge-faint" : ""}`}
    data-testid="edge"
    data-source=${edge.source}
    data-target=${edge.target}
    data-kind=${kind}
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
    <g class="edge-number" aria-hidden="true" transform=${`translate(${x} ${y}) scale(${larger(size)})`}>
      <rect x=${-width / 2} y="-10" width=${width} height="20" rx="10" />
      <text y="4" text-anchor="middle">${number}</text>
    </g>
  </g>`;
});
