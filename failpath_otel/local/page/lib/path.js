// The edges of the graph as SVG paths: smooth through the points that the receiver has computed.
const CORNER = 24;

const at = ([x, y]) => `${round(x)} ${round(y)}`;
const round = (value) => Math.round(value * 100) / 100;

const ARROW = 7; // So much of the way is the arrow's.

// From left to right, or back, each piece leaves and arrives level; everything else turns round corners. `size` of the
// arrow: 1 is the usual one.
export function edgePath(all, size = 1) {
  const [end, before] = [all.at(-1), all.at(-2)];
  const way = Math.sign(end[0] - before[0]);
  const points = [...all.slice(0, -1), [end[0] - way * ARROW * size, end[1]]];
  if (points.every(([x], index) => index === 0 || Math.sign(x - points[index - 1][0]) === way)) return levelCurve(points);
  return roundedLine([...all.slice(0, -1), towards(end, before, ARROW * size)]);
}

function levelCurve(points) {
  let path = `M${at(points[0])}`;
  for (let index = 1; index < points.length; index += 1) {
    const [fromX, fromY] = points[index - 1];
    const [toX, toY] = points[index];
    const half = (toX - fromX) / 2;
    path += fromY === toY ? `L${at([toX, toY])}` : `C${at([fromX + half, fromY])} ${at([toX - half, toY])} ${at([toX, toY])}`;
  }
  return path;
}

function roundedLine(points) {
  let path = `M${at(points[0])}`;
  for (let index = 1; index < points.length - 1; index += 1) {
    const corner = points[index];
    path += `L${at(towards(corner, points[index - 1]))}Q${at(corner)} ${at(towards(corner, points[index + 1]))}`;
  }
  return `${path}L${at(points.at(-1))}`;
}

// A point near `from` on the way to `to`, at most half of that way.
function towards([fromX, fromY], [toX, toY], distance = CORNER) {
  const length = Math.hypot(toX - fromX, toY - fromY) || 1;
  const share = Math.min(distance, length / 2) / length;
  return [fromX + (toX - fromX) * share, fromY + (toY - fromY) * share];
}

// Where the number of an edge stands: in the middle of its longest piece.
export function middle(points) {
  let best = null;
  let longest = -1;
  for (let index = 1; index < points.length; index += 1) {
    const [fromX, fromY] = points[index - 1];
    const [toX, toY] = points[index];
    const length = Math.hypot(toX - fromX, toY - fromY);
    if (length > longest) {
      longest = length;
      best = [(fromX + toX) / 2, (fromY + toY) / 2];
    }
  }
  return best;
}
