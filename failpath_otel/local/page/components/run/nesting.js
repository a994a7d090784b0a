// Steps inside steps: which attempt ran inside which, by their spans, and the rows that this makes of a run.
import { kindOf, nameOf } from "../../lib/attempts.js";

const WORST_FIRST = ["error", "gone", "silent", "running", "success", "skipped"];

const worse = (a, b) => (a === null || (b !== null && WORST_FIRST.indexOf(b) < WORST_FIRST.indexOf(a)) ? b : a);

// A row for each attempt in the given order, with nothing inside.
export const flat = (steps) => steps.map((step) => rowOf(step, 0, null));

const rowOf = (step, depth, above) => ({ step, name: nameOf(step), depth, above, inside: 0, worst: null, place: 1, among: 1 });

// `steps` in the order of time. Returns a row for each, parents before what ran inside them: `depth`, the row `above`,
// how many rows are `inside` (they come next) and the `worst` kind of those, `place` `among` the rows inside the same.
// A parent that is not in the run is none. Returns null where there are no parents.
export function nest(steps) {
  const places = new Map();
  for (const [index, { spanId }] of steps.entries()) if (spanId && !places.has(spanId)) places.set(spanId, index);
  const parents = steps.map(({ parentSpanId }, index) => {
    const parent = parentSpanId ? (places.get(parentSpanId) ?? -1) : -1;
    return parent === index ? -1 : parent;
  });
  if (parents.every((parent) => parent < 0)) return null;

  const inside = steps.map(() => []);
  for (const [index, parent] of parents.entries()) if (parent >= 0) inside[parent].push(index);
  const rows = [];
  const seen = new Set();
  // Without recursion, because the sender decides how deep it is.
  const walk = (start) => {
    const waiting = [[start, null]];
    while (waiting.length > 0) {
      const [index, above] = waiting.pop();
      if (seen.has(index)) continue;
      seen.add(index);
      const row = rowOf(steps[index], above === null ? 0 : above.depth + 1, above);
      rows.push(row);
      for (const child of inside[index].toReversed()) waiting.push([child, row]);
    }
  };
  for (const [index, parent] of parents.entries()) if (parent < 0) walk(index);
  // What is left are steps that say to be inside each other: the earliest of them stands for the outermost.
  for (const index of steps.keys()) if (!seen.has(index)) walk(index);

  for (const row of rows.toReversed()) {
    if (row.above === null) continue;
    row.above.inside += 1 + row.inside;
    row.above.worst = worse(row.above.worst, worse(kindOf(row.step), row.worst));
  }
  number(rows);
  return rows;
}

function number(rows) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row.above)) groups.set(row.above, []);
    groups.get(row.above).push(row);
  }
  for (const group of groups.values()) {
    for (const [index, row] of group.entries()) Object.assign(row, { place: index + 1, among: group.length });
  }
}

// The rows that are seen while those with these names are folded.
export function unfolded(rows, folded) {
  const seen = [];
  for (let at = 0; at < rows.length; at += 1) {
    seen.push(rows[at]);
    if (folded.has(rows[at].name)) at += rows[at].inside;
  }
  return seen;
}

// The names of the rows around one.
export function around(rows, name) {
  const names = [];
  for (let row = rows.find((each) => each.name === name)?.above ?? null; row !== null; row = row.above) names.push(row.name);
  return names;
}
