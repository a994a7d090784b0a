// The header of a run: which run it is, how it stands and why, its neighbours, and what can be copied of it.
import { html } from "../../lib/html.js";
import { byStep, isGrowing, trouble } from "../../lib/attempts.js";
import { ImportNote, RunActions } from "../actions/runactions.js";
import { CompareLink } from "../compare/link.js";
import { CopyButton } from "../copy.js";
import { Elapsed } from "../elapsed.js";
import { ago, clock, count, dateTime, duration, NONE, plural } from "../../lib/format.js";
import { CopyIcon, Doubt, traceLink } from "./panel.js";
import { whole } from "./longrun.js";
import { asJson, asText } from "./report.js";
import { flowPath, Link, runPath } from "../../lib/router.js";
import { look, Status } from "../../lib/status.js";
import { serverNow, useNow } from "../../lib/stream.js";

const AHEAD_MS = 1000; // Less is between any two machines.
const LONGEST = 240; // The panel has all of a message; here it shall not push the steps out of sight.

export function RunHeader({ data, selected }) {
  const { run, previous, next } = data;
  const { kind } = look(run.status, run.liveness);
  return html`<div class="run-header" data-testid="run-header" data-kind=${kind}>
    <div class="crumbs">
      <${Link} href="/">Flows<//><span aria-hidden="true">/</span>
      <${Link} href=${flowPath(run.flowKey)} class="mono">${run.flowKey}<//>
    </div>
    <div class="run-title">
      <h1 class="mono">${run.runId}</h1>
      <${CopyButton} className="copy-small" label="Copy the run id" text=${() => run.runId}><${CopyIcon} /><//>
      <span class=${`badge kind-${kind}`}><${Status} status=${run.status} liveness=${run.liveness} /></span>
      <nav class="neighbours" aria-label="Runs of this flow">
        <${Neighbour} to=${previous} flowKey=${run.flowKey} testid="previous-run" word="Previous" />
        <${Neighbour} to=${next} flowKey=${run.flowKey} testid="next-run" word="Next" />
      </nav>
    </div>
    <div class="run-line">
      <${Facts} run=${run} retries=${data.row.retries} processes=${data.processes} />
      <${Actions} data=${data} selected=${selected} />
    </div>
    <${ImportNote} imported=${data.imported} />
    ${data.clockAheadMs > AHEAD_MS && html`<p class="muted clock-ahead" data-testid="clock-ahead">
      The clock of the sender was ${duration(data.clockAheadMs)} ahead of this receiver's: its times are shown as it had them.
    </p>`}
  </div>`;
}

function Neighbour({ to, flowKey, testid, word }) {
  const arrow = word === "Next" ? "m6 3.500 4.500 4.500L6 12.5" : "M10 3.500 5.500 8l4.5 4.5";
  const icon = html`<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line-icon"><path d=${arrow} /></svg>`;
  const inner = word === "Next" ? html`${word}${icon}` : html`${icon}${word}`;
  if (to === null) return html`<span class="button button-small button-off" data-testid=${testid} aria-disabled="true">${inner}</span>`;
  return html`<${Link} class="button button-small" data-testid=${testid} href=${runPath(to.runId, flowKey)} title=${to.runId}>${inner}<//>`;
}

function Facts({ run, retries, processes }) {
  useNow(run.status === "running" ? 1000 : 15_000);
  const steps = byStep(run.steps).size;
  const fact = (name, value) => html`<div class="fact"><dt>${name}</dt><dd>${value}</dd></div>`;
  return html`<dl class="facts">
    ${fact("Started", html`<time datetime=${run.startedAt} title=${dateTime(run.startedAt)}>${clock(run.startedAt, serverNow())}</time>
      <span class="muted"> ${ago(run.startedAt, serverNow())}</span>`)}
    ${fact("Duration", html`<span data-testid="run-duration"><${RunLength} run=${run} /></span>`)}
    ${fact("Steps", html`${count(steps)}${retries > 0 && html`<span class="muted"> and ${plural(retries, "retry", "retries")}</span>`}`)}
    ${processes.length > 0 &&
    fact(processes.length === 1 ? "Process" : "Processes", processes.length > 2 ? processes.length : processes.map(({ pid, host }) => `${pid} on ${host}`).join(", "))}
  </dl>`;
}

function RunLength({ run }) {
  if (run.status !== "running") return duration(run.durationMs);
  return run.steps.some(isGrowing) ? html`<${Elapsed} since=${run.startedAt} />` : NONE;
}

function Actions({ data, selected }) {
  const link = traceLink(data.traceUrl, selected?.traceId ?? data.traceId);
  return html`<div class="run-actions">
    <${CompareLink} run=${data.run} />
    ${link &&
    html`<a class="button button-small" data-testid="trace-link" href=${link} target="_blank" rel="noopener noreferrer">
      Trace
      <svg viewBox="0 0 16 16" width="13" height="13" aria-hidden="true" class="line-icon"><path d="M6 3.500H3.500v9h9V10M9.500 3h3.500v3.500M13 3 7.500 8.5" /></svg>
      <span class="visually-hidden">(opens in a new tab)</span>
    </a>`}
    <${CopyButton} className="button button-small" data-testid="copy-json" text=${async () => asJson(await whole(data))}>Copy as JSON<//>
    <${CopyButton} className="button button-small" data-testid="copy-text" text=${async () => asText(await whole(data), serverNow())}>Copy as text<//>
    <${RunActions} row=${data.row} />
  </div>`;
}

// The one sentence that a run which failed, or may never end, begins with; it leads to its step.
// It stands below the graph, whose nodes stay in their places when it comes.
export function Trouble({ run, lastEvent, labels, p50Ms, selected, onSelect }) {
  const step = trouble(run);
  if (step === null) return null;
  const label = labels.get(step.stepKey) ?? step.stepKey;
  const { kind } = look(step.status, step.liveness);
  const here = selected !== null && selected.spanId === step.spanId;
  return html`<div class=${`trouble trouble-${kind}`} data-testid="trouble">
    <div class="trouble-text">
      ${step.error
        ? html`<p><strong>${label}</strong> failed: <span class="mono">${step.error.name}: ${firstLine(step.error.message)}</span></p>`
        : html`<${Doubt} step=${step} p50Ms=${p50Ms[step.stepKey] ?? null} lastEvent=${lastEvent} name=${label} />`}
    </div>
    ${!here && html`<button type="button" class="button button-small" onClick=${() => onSelect(step)}>Show the step</button>`}
  </div>`;
}

function firstLine(text) {
  const [line] = text.split("\n", 1);
  return line.length > LONGEST ? `${line.slice(0, LONGEST).trimEnd()}…` : line;
}
