// The view that compares a run with another one of its flow, by default with the last good one before it.
import { html, useEffect } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { Chooser } from "../components/compare/chooser.js";
import { Changes, factor, signed, Steps } from "../components/compare/steps.js";
import { ago, dateTime, plural } from "../lib/format.js";
import { useKeys } from "../lib/keyboard.js";
import { Failure, Loading, RunDuration } from "../components/parts.js";
import { flowPath, Link, navigate, runPath, search, useLocation } from "../lib/router.js";
import { Status } from "../lib/status.js";
import { serverNow, useNow, useStream } from "../lib/stream.js";

const RELOAD_MS = 500;

export function CompareView({ runId }) {
  const { query } = useLocation();
  const [flowKey, asked] = [query.get("flow"), query.get("with")];
  const path = `compare/${encodeURIComponent(runId)}${search({ flow: flowKey, with: asked })}`;
  const { data, error, reload, reloadSoon } = useResource(path, { key: `compare/${flowKey}\n${runId}`, every: RELOAD_MS });
  const concerns = (row) => [data?.own, data?.other].some((run) => run && run.flowKey === row.flowKey && run.runId === row.runId);
  useStream(({ rows, more, revision }) => {
    if (data === null || rows.some(concerns) || (more && revision !== data.revision)) reloadSoon();
  }, reload);
  useKeys({ Esc: () => navigate(runPath(runId, flowKey ?? data?.own.flowKey)) });
  useEffect(() => {
    document.title = `${runId} compared · Failpath`;
  }, [runId]);

  if (error?.status === 404) return html`<${Unknown} runId=${runId} />`;
  if (data === null) return error ? html`<${Failure} what="The comparison" error=${error} retry=${reload} />` : html`<${Loading} what="the comparison" />`;
  return html`<${Comparison} data=${data} asked=${asked} />`;
}

function Unknown({ runId }) {
  return html`<div class="notice" data-testid="unknown-run">
    <h1>No such run</h1>
    <p>Nothing has been received of a run <span class="mono">${runId}</span>, or it is so old that it was deleted.</p>
    <p><${Link} href="/runs">All runs<//></p>
  </div>`;
}

function Comparison({ data, asked }) {
  const { own, other, steps, metadata } = data;
  return html`
    <div class="compare-header" data-testid="compare-header" data-own=${own.runId} data-other=${other?.runId ?? ""}>
      <div class="crumbs">
        <${Link} href="/">Flows<//><span aria-hidden="true">/</span>
        <${Link} href=${flowPath(own.flowKey)} class="mono">${own.flowKey}<//><span aria-hidden="true">/</span>
        <${Link} href=${runPath(own.runId, own.flowKey)} class="mono">${own.runId}<//>
      </div>
      <div class="run-title">
        <h1>Compare <span class="mono">${own.runId}</span></h1>
        <${Chooser} data=${data} asked=${asked} />
      </div>
    </div>
    ${other === null
      ? html`<${Problem} data=${data} asked=${asked} />`
      : html`
          <div class="compare-runs">
            <${RunCard} run=${own} title="This run" />
            <${RunCard} run=${other} title=${other.runId === data.lastGood ? "Against the last good run" : "Against"} />
            <${Whole} own=${own} other=${other} metadata=${metadata} />
          </div>
          <${Steps} key=${`${own.runId}\n${other.runId}`} steps=${steps} own=${own} other=${other} />
        `}
  `;
}

function Problem({ data, asked }) {
  const text = {
    same: html`A run does not differ from itself. Choose another one.`,
    unknown: html`No run <span class="mono">${asked}</span> of this flow is known, or it is so old that it was deleted. Choose another one.`,
    none: html`No run of this flow before this one was good. Choose another one.`,
  }[data.problem];
  return html`<div class="card nothing" role="status" data-testid="compare-problem" data-problem=${data.problem}><p>${text}</p></div>`;
}

function RunCard({ run, title }) {
  useNow(run.status === "running" ? 1000 : 15_000);
  return html`<section class="card compare-run" aria-label=${title}>
    <h2 class="compare-run-title">${title}</h2>
    <p><${Link} class="mono compare-run-id" href=${runPath(run.runId, run.flowKey)}>${run.runId}<//></p>
    <p class="compare-run-facts">
      <${Status} status=${run.status} liveness=${run.liveness} />
      <span><${RunDuration} run=${run} /></span>
      <span class="muted"><time datetime=${run.startedAt} title=${dateTime(run.startedAt)}>${ago(run.startedAt, serverNow())}</time></span>
      <span class="muted">${plural(run.steps, "step")}${run.failedAttempts > 0 ? `, ${plural(run.failedAttempts, "failed attempt")}` : ""}${run.retries > 0 ? `, ${plural(run.retries, "retry", "retries")}` : ""}</span>
    </p>
    ${run.message !== null && html`<p class="compare-error kind-error">${run.message}</p>`}
  </section>`;
}

// What differs between the runs as wholes.
function Whole({ own, other, metadata }) {
  const both = own.durationMs !== null && other.durationMs !== null;
  if (!both && metadata.length === 0) return null;
  return html`<section class="card compare-run" aria-label="Of the whole run">
    <h2 class="compare-run-title">Of the whole run</h2>
    ${both && html`<p data-testid="compare-duration">${signed(own.durationMs - other.durationMs)}${other.durationMs > 0 &&
      html`<span class="muted">, ${factor(own.durationMs / other.durationMs)} the duration</span>`}</p>`}
    <${Changes} changes=${metadata} />
  </section>`;
}
