// The rows of the list of runs: a page of them as loaded, merged with the changes of the stream, and held while paused.
import { useEffect, useMemo, useRef, useState } from "./html.js";
import { useResource } from "./api.js";
import { within } from "./range.js";
import { search } from "./router.js";
import { look } from "./status.js";
import { useStream } from "./stream.js";

export const PAGE = 100;
const MOST = 200; // Rows shown. With more the list is loaded again, which also says where the older ones begin.

export const keyOf = (run) => `${run.flowKey}\n${run.runId}`;

const newestFirst = (a, b) =>
  compare(b.activeAt, a.activeAt) || compare(a.flowKey, b.flowKey) || compare(a.runId, b.runId);

const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0);

// Whether the page itself can tell if a row belongs to the list; what a text is looked for in, errors and metadata only the
// receiver knows.
function matcher({ flow, status, text, error, meta, pinned, from, to }) {
  if (text || error || meta.length > 0) return null;
  return (run) =>
    within({ from, to }, run.activeAt) &&
    (!flow || run.flowKey === flow) &&
    (!pinned || run.pinned) &&
    (!status || look(run.status, run.liveness).kind === status);
}

function merge(data, recent, matches, before) {
  if (!data) return [];
  if (recent.size === 0 || matches === null) return data.runs;
  const rows = new Map(data.runs.map((run) => [keyOf(run), run]));
  for (const [key, run] of recent) {
    // A page of older runs gets nothing new: what becomes active again belongs on the first.
    if (before && !rows.has(key)) continue;
    if (!matches(run) && !before) rows.delete(key);
    else if (!(rows.get(key)?.revision > run.revision)) rows.set(key, run);
  }
  const merged = [...rows.values()];
  return before ? merged : merged.sort(newestFirst).slice(0, MOST);
}

// `filter`: {flow, status, text, error, meta, pinned, from, to, before}. Returns what to show, of which list it is and whether
// that is the one asked for, of which error it is, and the number of runs that have changed since the pause.
export function useTail(filter, paused) {
  const path = `runs${search({ ...filter, limit: PAGE })}`;
  const { data, of, error, reload, reloadSoon } = useResource(path, { key: "runs" });
  const current = data !== null && of === path;
  const [streamRevision, setStreamRevision] = useState(0);
  const recent = useRef(new Map()).current;
  const held = useRef(null);
  const matches = matcher(filter);

  const anew = () => {
    recent.clear();
    if (held.current) held.current = { ...held.current, path: null };
    reload();
  };
  useStream(({ revision, rows, more }) => {
    if (data && revision <= data.revision) return;
    for (const run of rows) recent.set(keyOf(run), run);
    if (more || matches === null || recent.size > MOST) reloadSoon();
    setStreamRevision(revision);
  }, anew);

  const rows = useMemo(() => {
    for (const [key, run] of recent) if (data && run.revision <= data.revision) recent.delete(key);
    return current ? merge(data, recent, matches, filter.before) : (data?.runs ?? []);
  }, [data, streamRevision, path, current]);

  // What no longer passes the filter leaves room for older ones, which only the receiver knows.
  const short = current && data.next !== null && rows.length < data.runs.length;
  useEffect(() => {
    if (short) reloadSoon();
  }, [short, rows]);

  if (!paused) held.current = null;
  else if (held.current === null || held.current.path !== path) {
    // Another filter is another list; what stood still was the one before.
    const revision = newest(data, recent);
    held.current = { path: current ? path : null, rows, next: data?.next ?? null, revision, changed: new Set() };
  }
  const hold = held.current;
  if (hold?.path) {
    for (const run of rows) if (run.revision > hold.revision) hold.changed.add(keyOf(run));
    const standing = new Set(hold.rows.map(keyOf));
    for (const [key, run] of recent) if (standing.has(key) && run.revision > hold.revision) hold.changed.add(key);
  }
  return {
    rows: hold ? hold.rows : rows,
    next: hold ? hold.next : (data?.next ?? null),
    changed: hold ? hold.changed.size : 0,
    kind: data?.error ?? null,
    list: of,
    loaded: data !== null,
    current,
    error,
    reload,
  };
}

function newest(data, recent) {
  let revision = data?.revision ?? 0;
  for (const run of recent.values()) revision = Math.max(revision, run.revision);
  return revision;
}
