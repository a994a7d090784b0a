// The table of flows: rows in sight, out of however many there are, in an order that a user who points at it keeps.
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { FlowRow, OUTCOMES, seenText } from "./flowrow.js";
import { useResource } from "../../lib/api.js";
import { search, setQuery } from "../../lib/router.js";
import { useRows } from "../../lib/rows.js";
import { useVirtual, WHOLE_UP_TO } from "../../lib/virtual.js";

const ROWS = 100; // Loaded at once of a list that is longer than what is shown whole.
const STEP = 25;
const STILL_MS = 5000; // A row that would stand elsewhere moves no sooner.
const SLOW_MS = 1500;
const ROW_HEIGHT = 82;

const COLUMNS = [
  { sort: "flow", name: "Flow" },
  { name: `Last ${OUTCOMES} runs` },
  { sort: "-failure-rate", name: "Failure rate", number: true },
  { sort: "-p50", name: "p50", number: true, title: "Half of the runs took no longer" },
  { sort: "-p95", name: "p95", number: true, title: "95 of 100 runs took no longer" },
  { sort: "-now", name: "Now" },
  { sort: "-last-seen", name: "Last seen", number: true },
];

export const SORTS = [["", "Problems first"], ["flow", "By name"], ["-runs", "Most runs"],
  ["-failure-rate", "Highest failure rate"], ["-p50", "Highest p50"], ["-p95", "Highest p95"],
  ["-now", "Most running"], ["-last-seen", "Last seen"]];

const opposite = (sort) => (sort.startsWith("-") ? sort.slice(1) : `-${sort}`);

// What is loaded of the flows: {data, error, reload, reloadSoon}, with `reorder()`, `hold(whether)`, `held` and
// `look(first, last)` for what the table shows. The order is a number of the receiver's: with it, rows keep their places, and what is new
// stands at the end. It is renewed when it has changed, while the pointer and the focus are elsewhere, and for another sort or text.
export function useFlows(range, sort, text) {
  const about = `${sort}\n${text}\n${range.name}`;
  const [place, setPlace] = useState({ about, order: null, offset: 0 });
  const own = useRef({ since: 0, held: false }).current;
  const [held, setHeld] = useState(false);
  const [known, setKnown] = useState(0);
  const here = place.about === about ? place : { about, order: null, offset: 0 };
  const limit = known > 0 && known <= WHOLE_UP_TO ? WHOLE_UP_TO : ROWS;
  const { from, to } = range;
  const path = `flows${search({ sort, text, from, to, order: here.order, offset: here.offset || null, limit })}`;
  const resource = useResource(path, { key: "flows", every: known > ROWS ? SLOW_MS : undefined });
  const { data, of } = resource;
  const current = of === path;

  useEffect(() => {
    if (data === null || !current) return;
    setKnown(data.total);
    if (here.order !== data.order) {
      own.since = performance.now();
      setPlace({ ...here, order: data.order });
    }
  }, [data, current]);

  const reorder = () => setPlace({ about, order: null, offset: 0 });
  const moved = data !== null && data.moved;
  useEffect(() => {
    if (!moved) return undefined;
    const timer = setInterval(() => {
      if (!own.held && performance.now() - own.since >= STILL_MS) setPlace({ ...here, order: null });
    }, 250);
    return () => clearInterval(timer);
  }, [moved, about, here.offset]);

  const look = (first, last) => {
    if (data === null || known <= WHOLE_UP_TO) return;
    if (first >= here.offset && last < here.offset + ROWS && (last < data.offset + data.flows.length || !current)) return;
    const offset = Math.max(0, Math.floor(((first + last - ROWS) / 2) / STEP) * STEP);
    if (offset !== here.offset) setPlace({ ...here, offset });
  };
  const hold = (value) => {
    own.held = value;
    setHeld(value);
  };
  return { ...resource, moved, reorder, held, hold, look };
}

export function FlowTable({ list, sort, now, open }) {
  const { data, hold, look } = list;
  const rows = new Map(data.flows.map((flow, index) => [data.offset + index, flow]));
  const items = data.flows.map((flow) => ({ key: flow.flowKey, flow }));
  const { row, selected } = useRows(items, { failed: ({ flow }) => flow.failed > 0 || flow.gone > 0, open: ({ flow }) => open(flow) });
  const keyOf = (index) => rows.get(index)?.flowKey ?? `\n${index}`;
  const virtual = useVirtual(data.total, { height: ROW_HEIGHT, keyOf, keep: [selected], measured: true, table: true });
  const inside = useRef({ pointer: false, focus: false }).current;
  const note = (name, value) => () => {
    inside[name] = value;
    hold(inside.pointer || inside.focus);
  };
  useEffect(() => () => hold(false), []);
  const shown = [];
  const parts = virtual.render((index, attributes) => {
    shown.push(index);
    const flow = rows.get(index);
    if (flow === undefined) {
      return html`<tr role="row" class="list-row flow-awaited" ...${attributes}>
        <td role="cell" colspan=${COLUMNS.length}><span class="visually-hidden">Loading</span></td>
      </tr>`;
    }
    const own = row(flow.flowKey);
    return html`<${FlowRow} key=${attributes.key} flow=${flow} now=${now} seen=${seenText(flow, now)} place=${index}
      selected=${selected === flow.flowKey} attributes=${{ ...own, ...attributes }} />`;
  });
  const [first, last] = longest(shown);
  useEffect(() => {
    if (last >= first) look(first, last);
  }, [first, last, data]);

  return html`<div class="card">
    <table class="list flows" role="table" aria-label="Flows" ...${virtual.list}>
      <thead role="rowgroup"><tr role="row">${COLUMNS.map((column) => html`<${Head} column=${column} sort=${sort} />`)}</tr></thead>
      <tbody role="rowgroup" ref=${virtual.ref} onPointerEnter=${note("pointer", true)} onPointerLeave=${note("pointer", false)}
        onFocusIn=${note("focus", true)} onFocusOut=${note("focus", false)}>${parts}</tbody>
    </table>
  </div>`;
}

// The rows in sight, without one that is kept elsewhere.
function longest(indexes) {
  let best = [0, -1];
  for (let begin = 0, at = 0; at < indexes.length; at += 1) {
    if (at > 0 && indexes[at] !== indexes[at - 1] + 1) begin = at;
    if (at - begin > best[1] - best[0] || best[1] < 0) best = [indexes[begin], indexes[at]];
  }
  return best;
}

function Head({ column, sort }) {
  const { name, title } = column;
  const chosen = column.sort !== undefined && [column.sort, opposite(column.sort)].includes(sort);
  const descending = sort.startsWith("-");
  // Once as the column has it, then the other way, then what needs eyes first.
  const next = !chosen ? column.sort : sort === column.sort ? opposite(sort) : null;
  return html`<th role="columnheader" scope="col" class=${column.number ? "number" : ""} title=${title}
    aria-sort=${chosen ? (descending ? "descending" : "ascending") : undefined}>
    ${column.sort === undefined ? name : html`<button type="button" class="sort-head" data-testid="sort" data-sort=${column.sort}
      onClick=${() => setQuery({ sort: next })}>${name}${chosen && html`<span aria-hidden="true">${descending ? "↓" : "↑"}</span>`}</button>`}
  </th>`;
}
