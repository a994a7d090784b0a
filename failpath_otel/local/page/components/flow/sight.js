// Which part of a graph is in sight at first: what fails, then what runs.
const URGENCY = { error: 4, gone: 3, silent: 2, running: 1 };

// Of a step on a flow by its figures, in a run by what happened to it.
export function urgency(node, kind) {
  if (kind !== null) return URGENCY[kind] ?? 0;
  if (node.failed > 0) return 2 + (node.failureRate ?? 0);
  return node.gone > 0 ? 1.5 : node.running > 0 ? 1 : 0;
}

// The area that is to be in sight: the most urgent node, and as many of the others as fit beside it, or null where
// nothing is urgent. `kindOf(node)` is null on a flow; `sight` is how much can be seen, in units of the drawing.
export function urgentArea(nodes, kindOf, sight) {
  const urgent = nodes.map((node) => ({ node, weight: urgency(node, kindOf(node)) })).filter(({ weight }) => weight > 0);
  urgent.sort((a, b) => b.weight - a.weight);
  let area = null;
  for (const { node } of urgent) {
    const grown = around(area, areaOf(node));
    if (area === null || (grown.right - grown.left <= sight.width && grown.bottom - grown.top <= sight.height)) area = grown;
  }
  // What is seen from the beginning of the drawing need not be in the middle.
  return area !== null && area.right <= sight.width && area.bottom <= sight.height
    ? { left: 0, top: 0, right: Math.min(1, sight.width), bottom: 1 }
    : area;
}

const SPACE = 8; // Around a node, for its ring.

export const areaOf = ({ x, y, width, height }) => ({
  left: x - SPACE, top: y - SPACE, right: x + width + SPACE, bottom: y + height + SPACE,
});

function around(one, other) {
  if (one === null) return other;
  return {
    left: Math.min(one.left, other.left), top: Math.min(one.top, other.top),
    right: Math.max(one.right, other.right), bottom: Math.max(one.bottom, other.bottom),
  };
}
