// The view of all flows: how each did over the range of time, what needs eyes first, and on top what has gone quiet.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { send } from "../lib/api.js";
import { TopErrors, useTopErrors } from "../components/flow/errors.js";
import { Empty } from "./empty.js";
import { FlowTable, SORTS, useFlows } from "../components/flows/flowtable.js";
import { ago, count, plural } from "../lib/format.js";
import { useHeld } from "../components/held.js";
import { useKeys } from "../lib/keyboard.js";
import { Failure, Loading } from "../components/parts.js";
import { useRange } from "../lib/range.js";
import { flowPath, Link, navigate, runPath, setQuery, useLocation } from "../lib/router.js";
import { Status } from "../lib/status.js";
import { useNow, useStream } from "../lib/stream.js";
import { TimeRange } from "../components/timerange.js";

const AGAIN_MS = 15_000; // Charts move on with time.

export function FlowsView({ server }) {
  const { query } = useLocation();
  const range = useRange(query);
  const [sort, text] = [query.get("sort") ?? "", query.get("text") ?? ""];
  const list = useFlows(range, sort, text);
  const { data, error, reload, reloadSoon } = list;
  const errors = useTopErrors(range);
  const silent = useHeld(data?.silent, list.held); // Nothing above the table pushes its rows from under the pointer.
  useStream(({ revision }) => {
    if (!data || revision > data.revision) reloadSoon();
  }, reload);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || reloadSoon(), AGAIN_MS);
    return () => clearInterval(timer);
  }, [reloadSoon]);
  const now = useNow(1000);
  useEffect(() => {
    document.title = "Flows · Failpath";
  }, []);

  const head = html`<div class="view-head">
    <h1>Flows</h1>${data && html`<span class="muted" data-testid="flow-count">${count(data.total)}</span>`}
    <${TimeRange} range=${range} />
  </div>`;
  // At once, so that nothing moves when the errors are there.
  if (!data || !errors.settled) return html`${head}${error ? html`<${Failure} what="The flows" error=${error} retry=${reload} />` : html`<${Loading} what="flows" />`}`;
  if (data.total === 0 && !text) return html`<${Empty} url=${window.location.origin} onSample=${reload} />`;
  const sampled = server.data?.sample || data.flows.some(({ flowKey }) => flowKey.startsWith("sample-"));
  return html`
    ${head}
    ${error && html`<${Failure} what="The flows" error=${error} retry=${reload} />`}
    <${Quiet} silent=${silent} now=${now} />
    <${TopErrors} data=${errors.data} still=${list.held} />
    <${Tools} sort=${sort} text=${text} list=${list} />
    ${data.total === 0
      ? html`<div class="card nothing" role="status"><p>No flow has “${text}” in its name.</p></div>`
      : html`<${FlowTable} list=${list} sort=${sort} now=${now} open=${(flow) => navigate(flowPath(flow.flowKey))} />`}
    <footer class="list-foot">
      <p class="muted">
        Rates and percentiles are of each flow's newest ${count(server.data?.window ?? 500)} runs in this range; charts and
        sentences are of all of them.
      </p>
      ${sampled && html`<${RemoveSample} onRemoved=${reload} />`}
    </footer>
  `;
}

const TYPING_MS = 150;

function Tools({ sort, text, list }) {
  const [typed, setTyped] = useState(text);
  const sent = useRef(text);
  const field = useRef(null);
  const timer = useRef(null);
  // Back: what the address says holds.
  useEffect(() => {
    if (text === sent.current) return;
    sent.current = text;
    setTyped(text);
  }, [text]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const type = (event) => {
    const { value } = event.currentTarget;
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => {
      sent.current = value;
      setQuery({ text: value }, { replace: true });
    }, TYPING_MS);
  };
  useKeys({
    "/": () => {
      field.current.focus();
      field.current.select();
    },
  });
  return html`<form class="flow-tools" role="search" aria-label="Find flows" onSubmit=${(event) => event.preventDefault()}>
    <label class="visually-hidden" for="flow-text">Part of a flow's name</label>
    <input id="flow-text" type="text" class="field" data-testid="flow-text" placeholder="Part of a flow's name"
      autocomplete="off" spellcheck=${false} ref=${field} value=${typed} onInput=${type}
      onKeyDown=${(event) => event.key === "Escape" && field.current.blur()} />
    <label class="visually-hidden" for="flow-sort">Order</label>
    <select id="flow-sort" class="field" data-testid="flow-sort" value=${sort}
      onChange=${(event) => setQuery({ sort: event.currentTarget.value })}>
      ${SORTS.map(([value, word]) => html`<option key=${value} value=${value} selected=${value === sort}>${word}</option>`)}
      ${!SORTS.some(([value]) => value === sort) && html`<option value=${sort} selected>By a column</option>`}
    </select>
    <span class="reorder" role="status">
      ${list.moved && html`<button type="button" class="button button-quiet" data-testid="reorder" onClick=${list.reorder}>
        The order has changed. Reorder
      </button>`}
    </span>
  </form>`;
}

function Quiet({ silent, now }) {
  if (!silent || silent.count === 0) return null;
  const more = silent.count - silent.runs.length;
  return html`<section class="quiet" data-testid="silent-bar" aria-labelledby="quiet-title">
    <h2 id="quiet-title">${plural(silent.count, "run")} went quiet before the end</h2>
    <ul>
      ${silent.runs.map((run) => html`<li key=${`${run.flowKey}\n${run.runId}`}>
        <${Status} status=${run.status} liveness=${run.liveness} />
        <${Link} href=${runPath(run.runId, run.flowKey)} class="quiet-link mono ellipsis">${run.runId}<//>
        <span class="ellipsis muted">
          <span class="mono">${run.flowKey}</span>
          ${run.stepKey && html`${" in "}<span class="mono">${run.stepKey}</span>`}
        </span>
        <span class="muted number">${ago(run.activeAt, now)}</span>
      </li>`)}
    </ul>
    ${more > 0 && html`<p class="quiet-more">
      and ${count(more)} more:
      ${" "}<${Link} href="/runs?status=silent">silent<//>, <${Link} href="/runs?status=gone">process gone<//>
    </p>`}
  </section>`;
}

function RemoveSample({ onRemoved }) {
  const [state, setState] = useState({ busy: false, error: null });
  const remove = async () => {
    setState({ busy: true, error: null });
    try {
      await send("DELETE", "sample");
      setState({ busy: false, error: null });
      onRemoved();
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return html`<div class="foot-action">
    ${state.error && html`<span role="alert" class="kind-error">${state.error.message}</span>`}
    <button type="button" class="button button-quiet needs-writes" data-testid="remove-sample" disabled=${state.busy}
      onClick=${remove}>
      Remove the sample
    </button>
  </div>`;
}
