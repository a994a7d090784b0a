// The whole of a graph in a strip, where there is more of it than is in sight: what fails in it, and which part is seen.
// It is for the eyes and the pointer alone; the keys of the graph and the list of its steps say and do the same.
import { html, useEffect, useLayoutEffect, useRef } from "../../lib/html.js";
import { memo } from "../../lib/memo.js";
import { urgency } from "./sight.js";

const MARKS = { error: "error", gone: "gone", silent: "silent", running: "running" };

// How a node is marked: by what happened to it in a run, on a flow by whether it fails or runs.
function markOf(node, kind) {
  if (kind !== null) return MARKS[kind] ?? "calm";
  const weight = urgency(node, null);
  return weight >= 2 ? "error" : weight > 0 ? "running" : "calm";
}

export function Overview({ graph, kindOf, view }) {
  const strip = useRef(null);
  const seen = useRef(null);
  const { box, scale } = view;

  useLayoutEffect(() => {
    const follow = () => {
      const { scrollLeft, scrollTop, clientWidth, clientHeight, scrollWidth, scrollHeight } = box.current;
      const isWhole = scrollWidth <= clientWidth && scrollHeight <= clientHeight;
      strip.current.classList.toggle("graph-overview-idle", isWhole);
      const place = { x: scrollLeft / scale, y: scrollTop / scale, width: clientWidth / scale, height: clientHeight / scale };
      for (const [name, value] of Object.entries(place)) seen.current.setAttribute(name, String(value));
    };
    follow();
    const element = box.current;
    element.addEventListener("scroll", follow, { passive: true });
    const watcher = new ResizeObserver(follow);
    watcher.observe(element);
    return () => {
      element.removeEventListener("scroll", follow);
      watcher.disconnect();
    };
  }, [graph.width, graph.height, scale]);

  useEffect(() => {
    const element = strip.current;
    const go = (event) => {
      if (event.buttons === 0) return;
      const { left, top, width, height } = element.getBoundingClientRect();
      const [x, y] = [(event.clientX - left) / width, (event.clientY - top) / height];
      box.current.scrollLeft = x * box.current.scrollWidth - box.current.clientWidth / 2;
      box.current.scrollTop = y * box.current.scrollHeight - box.current.clientHeight / 2;
    };
    const press = (event) => {
      element.setPointerCapture(event.pointerId);
      go(event);
    };
    element.addEventListener("pointerdown", press);
    element.addEventListener("pointermove", go);
    return () => {
      element.removeEventListener("pointerdown", press);
      element.removeEventListener("pointermove", go);
    };
  }, []);

  return html`<svg ref=${strip} class="graph-overview" data-testid="graph-overview" aria-hidden="true" preserveAspectRatio="none"
    viewBox=${`0 0 ${graph.width} ${graph.height}`}>
    <${Marks} nodes=${graph.nodes} kinds=${graph.nodes.map((node) => markOf(node, kindOf(node))).join(" ")} />
    <rect ref=${seen} class="graph-seen" />
  </svg>`;
}

// The marks as one text, so that they are drawn anew only when one is another.
const Marks = memo(({ nodes, kinds }) => {
  const marks = kinds.split(" ");
  return nodes.map(
    ({ stepKey, x, y, width, height }, index) =>
      html`<rect key=${stepKey} class=${`mark-${marks[index]}`} x=${x} y=${y} width=${width} height=${height} />`,
  );
});
