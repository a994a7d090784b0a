// The view of one flow: its numbers, its graph, what differs from its declaration, what fails most, and its last runs.
import { html, useCallback, useEffect, useMemo } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { DeleteButton } from "../components/actions/delete.js";
import { Changes, clock } from "../components/flows/changes.js";
import { Chart } from "../components/flows/charts.js";
import { membersPath, useChosen } from "../components/flow/chosen.js";
import { ErrorList } from "../components/flow/errors.js";
import { DriftList, LastRuns } from "../components/flow/flowparts.js";
import { ago, count, dateTime, duration, NONE, plural, rate } from "../lib/format.js";
import { Graph } from "../components/flow/graph.js";
import { Grid, useGrid } from "../components/grid/grid.js";
import { useKeys } from "../lib/keyboard.js";
import { Failure, Loading } from "../components/parts.js";
import { asked, useRange } from "../lib/range.js";
import { Link, navigate, search, setQuery, useLocation } from "../lib/router.js";
import { serverNow, useNow, useStream } from "../lib/stream.js";
import { TimeRange } from "../components/timerange.js";

const RELOAD_MS = 500;
const AGAIN_MS = 15_000; // Charts move on with time.

export function FlowView({ flowKey }) {
  const { query } = useLocation();
  const range = useRange(query);
  const path = `flow/${encodeURIComponent(flowKey)}`;
  const { data, error, reload, reloadSoon } = useResource(path + search(asked(range)), { key: path, every: RELOAD_MS });
  const grid = useGrid(flowKey, query, data === null ? null : data.flow.runs > 0);
  useStream(({ rows, more, revision }) => {
    if (rows.some((row) => row.flowKey === flowKey) || (more && revision !== data?.revision)) reloadSoon();
  }, reload);
  useEffect(() => {
    document.title = `${flowKey} · Failpath`;
  }, [flowKey]);
  useEffect(() => {
    const timer = setInterval(() => document.hidden || reloadSoon(), AGAIN_MS);
    return () => clearInterval(timer);
  }, [reloadSoon]);

  if (error?.status === 404) return html`<${Unknown} flowKey=${flowKey} />`;
  if (data === null) return error ? html`<${Failure} what="This flow" error=${error} retry=${reload} />` : html`<${Loading} what="the flow" />`;
  // At once, so that the graph does not move when what stands above it is there.
  if (!grid.settled) return html`<${Loading} what="the flow" />`;
  return html`<${Flow} data=${data} query=${query} range=${range} grid=${grid} />`;
}

function Unknown({ flowKey }) {
  return html`<div class="notice" data-testid="unknown-flow">
    <h1>No such flow</h1>
    <p>No run of <span class="mono">${flowKey}</span> is known. It appears here as soon as its first event arrives.</p>
    <p><${Link} href="/">All flows<//></p>
  </div>`;
}

function Flow({ data, query, range, grid }) {
  const { flow, window: newest, graph, errors, runs, drift } = data;
  const { chosen, chosenKey, keys } = useChosen(graph, flow.flowKey, query.get("node"));
  const labels = useMemo(() => new Map(graph.nodes.map((node) => [node.stepKey, node.label])), [graph]);
  const choose = useCallback((stepKey) => setQuery({ node: stepKey === chosenKey ? null : stepKey }), [chosenKey]);
  const clear = () => setQuery({ node: null });
  useKeys({ Esc: () => (chosenKey === null ? navigate("/") : clear()) });

  return html`
    <div class="flow-header" data-testid="flow-header">
      <div class="crumbs"><${Link} href="/">Flows<//></div>
      <div class="run-title">
        <h1 class="mono">${flow.flowKey}</h1>
        <${Link} class="button button-small flow-runs" href=${`/runs${search({ flow: flow.flowKey })}`}>All its runs<//>
        <${DeleteButton} flowKey=${flow.flowKey} />
        <${TimeRange} range=${range} />
      </div>
      <div class="flow-changes">
        ${flow.trend.changes.length === 0 && html`<p class="muted">No change of failure rate or p95 was found in this range.</p>`}
        <${Changes} changes=${flow.trend.changes} flowKey=${flow.flowKey} now=${serverNow()} />
      </div>
      <${Numbers} flow=${flow} />
      <${WindowNote} newest=${newest} flow=${flow} />
    </div>
    <div class="charts">
      <${Chart} kind="failureRate" trend=${flow.trend} now=${serverNow()} />
      <${Chart} kind="p95" trend=${flow.trend} now=${serverNow()} />
    </div>
    ${flow.runs > 0 && html`<${Grid} grid=${grid} />`}
    <section class="card graph-card" aria-labelledby="graph-title">
      <div class="card-head">
        <h2 id="graph-title">Graph</h2>
        <p class="muted">${source(graph, newest)}</p>
      </div>
      ${graph.nodes.length > 0
        ? html`<${Graph} graph=${graph} name=${flow.flowKey} runs=${newest.runs} selected=${chosenKey}
            onSelect=${choose} membersOf=${(stepKey) => membersPath(flow.flowKey, stepKey)} />`
        : html`<p class="card-note muted">No step of this flow has been seen yet.</p>`}
      ${chosen !== null && html`<${StepNumbers} node=${chosen} flowKey=${flow.flowKey} onClose=${clear} />`}
    </section>
    <${DriftList} drift=${drift} />
    <div class="flow-lists">
      <${ErrorList} errors=${errors} labels=${labels} steps=${chosenKey === null ? null : keys} of=${chosen?.label ?? null} />
      <${LastRuns} runs=${runs} labels=${labels} />
    </div>
  `;
}

function source({ declared }, { runs, of }) {
  const shape = declared ? "shape from flows.json" : "shape from the order in which steps were seen";
  return `${runs < of ? `Newest ${count(runs)} of ${plural(of, "run")}` : plural(runs, "run")}, ${shape}`;
}

// Figures of some of the runs say of which.
function WindowNote({ newest, flow }) {
  if (newest.runs >= newest.of) return null;
  const since = html`<time datetime=${newest.since} title=${dateTime(newest.since)}>${clock(newest.since, serverNow())}</time>`;
  return html`<p class="muted window-note" data-testid="window">
    Charts and sentences are of all ${plural(newest.of, "run")} in this range; rates and percentiles of the newest
    ${" "}${count(flow.runs)}, the graph of the newest ${count(newest.runs)}, since ${since}.
  </p>`;
}

function Numbers({ flow }) {
  useNow(1000);
  const number = (metric, name, value, mood = "") =>
    html`<div class=${`tile ${mood}`}><dt>${name}</dt><dd data-metric=${metric}>${value}</dd></div>`;
  const seen = html`<time datetime=${flow.lastSeen} title=${dateTime(flow.lastSeen)}>${ago(flow.lastSeen, serverNow())}</time>`;
  return html`<dl class="tiles">
    ${number("runs", "Runs", count(flow.total))}
    ${number("failure-rate", "Failure rate", rate(flow.failureRate), flow.failed > 0 ? "tile-error" : "")}
    ${number("p50", "p50", duration(flow.p50Ms))}
    ${number("p95", "p95", duration(flow.p95Ms))}
    ${flow.retries > 0 && number("retries", "Retries", html`${count(flow.retries)}<span class="tile-note muted"> in ${retried(flow)} of the runs, ${perRun(flow)} a run</span>`)}
    ${flow.retries > 0 && number("failed-attempts", "Failed attempts", count(flow.failedAttempts))}
    ${number("running", "Running", count(flow.running), flow.running > 0 ? "tile-running" : "")}
    ${flow.silent > 0 && number("silent", "Silent", count(flow.silent), "tile-silent")}
    ${flow.gone > 0 && number("gone", "Process gone", count(flow.gone), "tile-gone")}
    ${number("last-seen", "Last seen", flow.lastSeen ? seen : NONE)}
  </dl>`;
}

const retried = ({ retriedRuns, runs }) => rate(retriedRuns / runs);

// Retries of each run, on average.
const perRun = ({ retries, runs }) => (retries / runs).toLocaleString("en-US", { maximumFractionDigits: 2 });

function StepNumbers({ node, flowKey, onClose }) {
  const number = (name, value, extra = null) =>
    html`<div class="fact"><dt>${name}</dt><dd>${value}${extra && html`<span class="muted"> ${extra}</span>`}</dd></div>`;
  return html`<section class="node-detail" data-testid="node-detail" aria-label=${`Numbers of ${node.label}`}>
    <div class="node-detail-title">
      <h3>${node.label}</h3>
      ${node.label !== node.stepKey && html`<span class="mono muted">${node.stepKey}</span>`}
    </div>
    <dl class="facts">
      ${number("Runs", count(node.runs))}
      ${number("Failed", rate(node.failureRate), node.ended > 0 && `${count(node.failed)} of ${count(node.ended)} ended`)}
      ${node.failedAttempts > 0 && number("Attempts", count(node.attempts), `${count(node.failedAttempts)} failed`)}
      ${node.retries > 0 && number("Retries", count(node.retries), `in ${retried(node)} of the runs, ${perRun(node)} a run`)}
      ${number("Skipped", rate(node.skipRate), node.runs > 0 && `${count(node.skipped)} of ${plural(node.runs, "run")}`)}
      ${number("Running", count(node.running))}
      ${node.gone > 0 && number("Process gone", count(node.gone))}
      ${number("p50", duration(node.p50Ms))}
      ${number("p95", node.p95Ms === null ? NONE : duration(node.p95Ms), node.p95Ms === null && "from five runs on")}
    </dl>
    <div class="node-detail-actions">
      <${Link} class="button button-small" href=${`/runs${search({ flow: flowKey, text: node.stepKey })}`}>Runs with this step<//>
      <button type="button" class="button button-small" onClick=${onClose}>Close</button>
    </div>
  </section>`;
}
