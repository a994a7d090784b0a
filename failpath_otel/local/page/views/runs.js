// The view of all runs: a live list, newest activity first, that can be filtered and paused.
import { Component, html, useEffect, useRef, useState } from "../lib/html.js";
import { DeleteButton } from "../components/actions/delete.js";
import { ImportButton } from "../components/actions/import.js";
import { PinMark } from "../components/actions/runactions.js";
import { ErrorChip } from "../components/flow/errors.js";
import { Empty } from "./empty.js";
import { Filters } from "../components/filters.js";
import { ago, count, dateTime, plural } from "../lib/format.js";
import { useKeys } from "../lib/keyboard.js";
import { Failure, Loading, RunDuration } from "../components/parts.js";
import { asked, useRange } from "../lib/range.js";
import { flowPath, Link, navigate, runPath, setQuery, useLocation } from "../lib/router.js";
import { useRows } from "../lib/rows.js";
import { look, Status } from "../lib/status.js";
import { serverNow, useNow } from "../lib/stream.js";
import { keyOf, useTail } from "../lib/tail.js";
import { TimeRange } from "../components/timerange.js";

const FRESH_MS = 1500;

export function RunsView({ server }) {
  const { query } = useLocation();
  const filter = Object.fromEntries(["flow", "status", "text", "error", "before"].map((name) => [name, query.get(name) ?? ""]));
  filter.meta = query.getAll("meta");
  filter.pinned = query.get("pinned") === "1" ? "1" : "";
  const range = useRange(query);
  Object.assign(filter, asked(range));
  const filtered = ["flow", "status", "text", "error", "meta", "pinned"].some((name) => filter[name].length > 0);
  const limited = filtered || Boolean(filter.from || filter.to);
  const [pausedAt, setPausedAt] = useState(null);
  const paused = pausedAt !== null;
  const { rows, next, kind, changed, list, loaded, current, error, reload } = useTail(filter, paused);
  const ticking = useNow(paused ? 0 : 1000);
  const now = paused ? pausedAt : ticking;
  const fresh = useFresh(rows, list);
  const items = rows.map((run) => ({ key: keyOf(run), run }));
  const { row, selected } = useRows(items, {
    failed: ({ run }) => ["error", "gone"].includes(look(run.status, run.liveness).kind),
    open: ({ run }) => navigate(runPath(run.runId, run.flowKey)),
  });
  const pause = () => setPausedAt((before) => (before === null ? serverNow() : null));
  useKeys({ p: pause });
  useEffect(() => {
    document.title = filter.flow ? `Runs of ${filter.flow} · Failpath` : "Runs · Failpath";
  }, [filter.flow]);

  const nothing = current && rows.length === 0 && !error;
  const shown = rows.length > 0 && (current || !error); // Another list stands until the one asked for is there.
  if (nothing && !limited && !filter.before && !paused) {
    return html`<${Empty} url=${window.location.origin} onSample=${reload} />`;
  }
  return html`
    <div class="view-head">
      <h1>Runs</h1>
      <span class="muted">${server.data && !limited ? count(Math.max(server.data.runs, rows.length)) : ""}</span>
      <${TimeRange} range=${range} />
      <${PauseButton} paused=${paused} changed=${changed} onClick=${pause} />
    </div>
    <${Filters} filter=${filter} filtered=${filtered} />
    <${ErrorChip} fingerprint=${filter.error} kind=${kind} onRemove=${() => setQuery({ error: null, before: null })} />
    ${error && html`<${Failure} what="The runs" error=${error} retry=${reload} />`}
    ${!loaded && !error && html`<${Loading} what="runs" />`}
    ${nothing && html`<div class="card nothing" role="status">
      <p>No run ${limited ? "matches" : "is older"}.</p>
      ${filtered && html`<p class="muted">The list stays live: a run that matches shows up here.</p>`}
    </div>`}
    ${shown && html`<div class=${`card${paused ? " held" : ""}`}>
      <table class="list runs" role="table" aria-label="Runs, newest activity first"
        aria-busy=${current ? "false" : "true"}>
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">Status</th>
            <th role="columnheader" scope="col">Run</th>
            <th role="columnheader" scope="col">Flow</th>
            <th role="columnheader" scope="col">Step</th>
            <th role="columnheader" scope="col" class="number">Duration</th>
            <th role="columnheader" scope="col" class="number">Last event</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${items.map(({ key, run }) => html`<${RunRow} key=${key} run=${run} active=${ago(run.activeAt, now)}
            still=${paused ? pausedAt : null} fresh=${fresh.has(key)} selected=${key === selected} row=${row} />`)}
        </tbody>
      </table>
    </div>`}
    <footer class="list-foot">
      ${loaded && !next && html`<${Pruned} server=${server.data} />`}
      <div class="foot-action">
        <${ImportButton} />
        ${!limited && html`<${DeleteButton} />`}
        ${filter.before && html`<${Link} href=${withoutBefore(query)} class="button">Newest<//>`}
        ${next && html`<button type="button" class="button" data-testid="older" onClick=${() => older(next)}>
          Older
        </button>`}
      </div>
    </footer>
  `;
}

function older(next) {
  setQuery({ before: next });
  window.scrollTo(0, 0);
}

function withoutBefore(query) {
  const rest = new URLSearchParams(query);
  rest.delete("before");
  return rest.size > 0 ? `/runs?${rest}` : "/runs";
}

// The keys of the rows that came in while the list was being looked at, for as long as they are shown to be new.
function useFresh(rows, list) {
  const known = useRef({ list: null, arrivals: new Map() }).current;
  const instant = performance.now();
  if (known.list !== list || known.arrivals.size === 0) {
    // The first rows of a list are no news.
    known.list = list;
    known.arrivals = new Map(rows.map((run) => [keyOf(run), -Infinity]));
  }
  known.arrivals = new Map(rows.map((run) => [keyOf(run), known.arrivals.get(keyOf(run)) ?? instant]));
  return new Set([...known.arrivals].filter(([, at]) => instant - at < FRESH_MS).map(([key]) => key));
}

function PauseButton({ paused, changed, onClick }) {
  return html`<div class="pause">
    <span class="paused-count" role="status" aria-live="polite">
      ${paused && html`<span data-testid="paused-count" data-count=${changed}>${plural(changed, "run")} changed</span>`}
    </span>
    <button type="button" class=${`button${paused ? " button-on" : ""}`} data-testid="pause"
      data-paused=${paused ? "true" : "false"} onClick=${onClick}
      title=${paused ? "Resume (p)" : "Pause (p)"}>
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line-icon">
        <path d=${paused ? "M5 3.5v9l7-4.5z" : "M5.5 3.5v9m5-9v9"} />
      </svg>
      ${paused ? "Resume" : "Pause"}
    </button>
  </div>`;
}

function Pruned({ server }) {
  if (!server || server.readOnly) return null;
  const { keep, pruned } = server;
  const so = pruned.runs > 0 ? `; ${count(pruned.runs)} ${pruned.runs === 1 ? "was" : "were"} so far` : "";
  const kept = server.pinned > 0 ? ` ${plural(server.pinned, "pinned run is", "pinned runs are")} kept.` : "";
  return html`<p class="muted" data-testid="pruned-note">
    Runs older than ${plural(keep.days, "day")}, or beyond ${count(keep.megabytes)} MB, are deleted${so}.${kept}
  </p>`;
}

class RunRow extends Component {
  // With hundreds of rows and ten changes a second, only those that look different are rendered again.
  shouldComponentUpdate(next) {
    return ["run", "active", "still", "fresh", "selected"].some((name) => next[name] !== this.props[name]);
  }

  render({ run, active, still, fresh, row }) {
    const { kind } = look(run.status, run.liveness);
    return html`<tr role="row" class=${`list-row${fresh ? " fresh" : ""}`} data-testid="run-row" data-run=${run.runId}
      data-flow=${run.flowKey} data-kind=${kind} ...${row(keyOf(run))}>
      <td role="cell" class="cell-status"><${Status} status=${run.status} liveness=${run.liveness} /></td>
      <td role="cell" class="cell-run">
        <${Link} href=${runPath(run.runId, run.flowKey)} class="row-link mono ellipsis" data-row-link
          title=${run.runId}>${run.pinned && html`<${PinMark} />`}${run.imported &&
          html`<span class="imported-mark">imported</span>`}${run.runId}<//>
      </td>
      <td role="cell" class="cell-in">
        <${Link} href=${flowPath(run.flowKey)} class="over mono ellipsis" title=${run.flowKey}>${run.flowKey}<//>
      </td>
      <td role="cell" class="cell-step"><${Where} run=${run} kind=${kind} /></td>
      <td role="cell" class="number cell-duration"><${RunDuration} run=${run} still=${still} /></td>
      <td role="cell" class="number cell-seen">
        <time datetime=${run.activeAt} title=${dateTime(run.activeAt)}>${active}</time>
      </td>
    </tr>`;
  }
}

// The step that matters: the one that fails or runs, with its error; else how many there were.
function Where({ run, kind }) {
  const retries = run.retries > 0 ? plural(run.retries, "retry", "retries") : "";
  if (!run.stepKey) return html`<span class="muted">${plural(run.steps, "step")}${retries && `, ${retries}`}</span>`;
  return html`<span class="where ellipsis" title=${run.message ?? undefined}>
    <span class="mono">${run.stepKey}</span>
    ${retries && html`<span class="where-retries muted">${retries}</span>`}
    ${run.message && html`<span class=${kind === "error" ? "kind-error" : "muted"}>${run.message}</span>`}
  </span>`;
}
