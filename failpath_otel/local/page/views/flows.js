// The view of all flows: how each did of late, and on top what has gone quiet.
import { html, useEffect, useState } from "../lib/html.js";
import { send, useResource } from "../lib/api.js";
import { TopErrors } from "../components/flow/errors.js";
import { Empty } from "./empty.js";
import { ago, count, dateTime, duration, plural, rate } from "../lib/format.js";
import { Failure, Loading } from "../components/parts.js";
import { flowPath, Link, navigate, runPath } from "../lib/router.js";
import { useRows } from "../lib/rows.js";
import { Glyph, look, Status } from "../lib/status.js";
import { useNow, useStream } from "../lib/stream.js";

const OUTCOMES = 20;

export function FlowsView({ server }) {
  const { data, error, reload, reloadSoon } = useResource("flows");
  useStream(({ revision }) => {
    if (!data || revision > data.revision) reloadSoon();
  }, reload);
  const now = useNow(1000);
  const flows = data?.flows ?? [];
  const items = flows.map((flow) => ({ key: flow.flowKey, flow }));
  const { row } = useRows(items, {
    failed: ({ flow }) => flow.failed > 0 || flow.gone > 0,
    open: ({ flow }) => navigate(flowPath(flow.flowKey)),
  });
  useEffect(() => {
    document.title = "Flows · Failpath";
  }, []);

  if (!data && error) return html`<${Failed} error=${error} retry=${reload} />`;
  if (!data) return html`<div class="view-head"><h1>Flows</h1></div><${Loading} what="flows" />`;
  if (flows.length === 0) return html`<${Empty} url=${window.location.origin} onSample=${reload} />`;
  const sampled = server.data?.sample || flows.some(({ flowKey }) => flowKey.startsWith("sample-"));
  return html`
    <div class="view-head"><h1>Flows</h1><span class="muted">${count(flows.length)}</span></div>
    ${error && html`<${Failure} what="The flows" error=${error} retry=${reload} />`}
    <${Quiet} silent=${data.silent} now=${now} />
    <${TopErrors} />
    <div class="card">
      <table class="list flows" role="table" aria-label="Flows">
        <thead role="rowgroup">
          <tr role="row">
            <th role="columnheader" scope="col">Flow</th>
            <th role="columnheader" scope="col">Last ${OUTCOMES} runs</th>
            <th role="columnheader" scope="col" class="number">Failure rate</th>
            <th role="columnheader" scope="col" class="number" title="Half of the runs took no longer">p50</th>
            <th role="columnheader" scope="col" class="number" title="95 of 100 runs took no longer">p95</th>
            <th role="columnheader" scope="col">Now</th>
            <th role="columnheader" scope="col" class="number">Last seen</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${flows.map((flow) =>
            html`<${FlowRow} key=${flow.flowKey} flow=${flow} now=${now} attributes=${row(flow.flowKey)} />`)}
        </tbody>
      </table>
    </div>
    <footer class="list-foot">
      <p class="muted">Rates and percentiles are of each flow's newest ${count(server.data?.window ?? 500)} runs.</p>
      ${sampled && html`<${RemoveSample} onRemoved=${reload} />`}
    </footer>
  `;
}

function Failed({ error, retry }) {
  return html`<div class="view-head"><h1>Flows</h1></div><${Failure} what="The flows" error=${error} retry=${retry} />`;
}

function FlowRow({ flow, now, attributes }) {
  const { flowKey } = flow;
  return html`<tr role="row" class="list-row" data-testid="flow-row" data-flow=${flowKey} ...${attributes}>
    <td role="cell" class="cell-flow">
      <${Link} href=${flowPath(flowKey)} class="row-link mono" data-row-link>${flowKey}<//>
      <span class="sub">${plural(flow.runs, "run")}${flow.retriedRuns > 0 ? `, ${count(flow.retriedRuns)} with retries` : ""}</span>
    </td>
    <td role="cell" class="cell-outcomes"><${Outcomes} flow=${flow} /></td>
    <td role="cell" class="number cell-rate" data-label="Failure rate">
      <span data-metric="failure-rate" class=${flow.failed > 0 ? "kind-error strong" : ""}>
        ${rate(flow.failureRate)}
      </span>
      <span class="sub">${flow.ended > 0 ? `${count(flow.failed)} of ${count(flow.ended)}` : ""}</span>
    </td>
    <td role="cell" class="number" data-label="p50"><span data-metric="p50">${duration(flow.p50Ms)}</span></td>
    <td role="cell" class="number" data-label="p95"><span data-metric="p95">${duration(flow.p95Ms)}</span></td>
    <td role="cell" class="cell-now"><${Now} flow=${flow} /></td>
    <td role="cell" class="number cell-seen">
      <time datetime=${flow.lastSeen} title=${dateTime(flow.lastSeen)}>${ago(flow.lastSeen, now)}</time>
    </td>
  </tr>`;
}

// The newest stands right, so that what is new comes in at the same place in every row.
function Outcomes({ flow }) {
  return html`<ol class="outcomes" aria-label=${`Last runs of ${flow.flowKey}, oldest first`}>
    ${Array.from({ length: Math.max(0, OUTCOMES - flow.outcomes.length) }, (_, index) =>
      html`<li key=${index} class="outcome-none" aria-hidden="true"></li>`)}
    ${flow.outcomes.map(({ runId, status, liveness }) => {
      const { word, kind } = look(status, liveness);
      return html`<li key=${runId}>
        <${Link} href=${runPath(runId, flow.flowKey)} class=${`outcome outcome-${kind}`} data-testid="outcome"
          data-kind=${kind} title=${`${runId}: ${word}`} aria-label=${`${runId}: ${word}`}>
          <${Glyph} kind=${kind} />
        <//>
      </li>`;
    })}
  </ol>`;
}

// `running` counts what is not known to be quiet.
function Now({ flow }) {
  const parts = [["running", flow.running], ["silent", flow.silent], ["gone", flow.gone]].filter(([, number]) => number > 0);
  return html`<span class="now" data-metric="running" data-running=${flow.running}>
    ${parts.length === 0 && html`<span class="muted">–</span>`}
    ${parts.map(([kind, number]) => html`<span class=${`badge status kind-${kind}`} key=${kind}>
      <${Glyph} kind=${kind} />${count(number)} ${kind === "running" ? "running" : kind}
    </span>`)}
  </span>`;
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
    <button type="button" class="button button-quiet changes" data-testid="remove-sample" disabled=${state.busy}
      onClick=${remove}>
      Remove the sample
    </button>
  </div>`;
}
