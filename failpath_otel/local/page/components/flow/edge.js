// An edge of a graph: what comes after, what runs again, or what runs inside, each with a line of its own.
import { html } from "../../lib/html.js";
import { count, plural } from "../../lib/format.js";
import { memo } from "../../lib/memo.js";
import { edgePath, middle } from "../../lib/path.js";

const SMALL = 11.5; // The usual size of the text of a number.

// What is not to become smaller with the drawing is drawn so much larger. `brief` is the size of text in a graph that is
// drawn small, else null.
const larger = (brief) => (brief ?? SMALL) / SMALL;

// The arrows' heads, in two colours.
export function Arrows({ brief }) {
  const size = 10 * larger(brief);
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

export const Edge = memo(({ edge, labels, runs, faint, brief }) => {
  const kind = edge.kind ?? (edge.back ? "back" : "next");
  const path = edgePath(edge.points, larger(brief));
  const share = runs > 0 ? Math.min(1, edge.taken / runs) : 0;
  const [x, y] = middle(edge.points);
  const number = count(edge.taken);
  const width = number.length * 7 + 12;
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
    <g class="edge-number" aria-hidden="true" transform=${`translate(${x} ${y}) scale(${larger(brief)})`}>
      <rect x=${-width / 2} y="-10" width=${width} height="20" rx="10" />
      <text y="4" text-anchor="middle">${number}</text>
    </g>
  </g>`;
});
