// The panel of the selected step: what happened, how long it took, its error, its metadata, where it ran.
import { html } from "../../lib/html.js";
import { factor, isGrowing } from "../../lib/attempts.js";
import { AttemptList } from "./attemptlist.js";
import { Clamped } from "./clamped.js";
import { CopyButton } from "../copy.js";
import { Elapsed } from "../elapsed.js";
import { ago, clock, dateTime, duration } from "../../lib/format.js";
import { Failure } from "../parts.js";
import { StepLogs } from "./logs.js";
import { Metadata } from "./metadata.js";
import { useStep } from "./longrun.js";
import { Stack } from "./stack.js";
import { look, Status } from "../../lib/status.js";
import { serverNow } from "../../lib/stream.js";

const MUCH_LONGER = 3;

// `line` is the attempt as the list of steps has it; in a long run the rest of it comes by itself.
export function Panel({ data, line, label, attempts, p50Ms, logs, onSelect, onClose, panelRef }) {
  const { step, loading, error, reload } = useStep(data, line);
  return html`<aside class="panel card" data-testid="panel" aria-label=${`Step ${label}`} tabindex="-1" ref=${panelRef}>
    <header class="panel-head">
      <div class="panel-title">
        <h2>${label}</h2>
        ${label !== step.stepKey && html`<p class="mono muted">${step.stepKey}</p>`}
      </div>
      <button type="button" class="icon-button" aria-label="Close the step" title="Close (Esc)" onClick=${onClose}>
        <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="line-icon"><path d="m4 4 8 8m0-8-8 8" /></svg>
      </button>
    </header>
    <div class="panel-body">
      <div class="panel-outcome">
        <span class=${`badge kind-${look(step.status, step.liveness).kind}`}>
          <${Status} status=${step.status} liveness=${step.liveness} />
        </span>
        <span class="panel-length"><${Took} step=${step} p50Ms=${p50Ms} /></span>
      </div>
      <${Doubt} step=${step} p50Ms=${p50Ms} lastEvent=${data.row.activeAt} />
      <${AttemptList} attempts=${attempts} step=${step} onSelect=${onSelect} />
      ${step.error && html`<${StepError} error=${step.error} />`}
      ${error !== null && html`<${Failure} what="The rest of this step" error=${error} retry=${reload} />`}
      ${loading
        ? error === null && html`<p class="muted" role="status">Loading the rest of the step</p>`
        : html`<${Rest} step=${step} traceUrl=${data.traceUrl} logs=${logs} />`}
    </div>
  </aside>`;
}

function Rest({ step, traceUrl, logs }) {
  return html`
    ${step.error && html`<${Stack} key=${step.spanId} error=${step.error} />`}
    <${StepLogs} key=${`logs ${step.spanId}`} logs=${logs} step=${step} />
    <${Metadata} metadata=${step.metadata} />
    <${Facts} step=${step} traceUrl=${traceUrl} />
  `;
}

function Took({ step, p50Ms }) {
  const usual = p50Ms !== null && html`<span class="muted">p50 ${duration(p50Ms)}</span>`;
  if (isGrowing(step)) return html`<strong><${Elapsed} since=${step.startedAt} /></strong> ${usual}`;
  if (step.durationMs === null) return step.status === "running" ? usual : null;
  const times = factor(step.durationMs, p50Ms);
  return html`<strong>${duration(step.durationMs)}</strong>
    ${times !== null && html`<span class="muted" data-testid="against-p50">${times} its p50 of ${duration(p50Ms)}</span>`}`;
}

// Why something that has not ended may never end, in a sentence or two: what the receiver knows, and what it does not.
export function Doubt({ step, p50Ms, lastEvent, name = null }) {
  if (step.status !== "running" || step.liveness === "live" || step.liveness === null) return null;
  const since = step.startedAt;
  const whose = name === null ? "this step" : html`<strong>${name}</strong>`;
  const when = html`${clock(since, serverNow())} (${ago(since, serverNow())})`;
  if (step.liveness === "gone") {
    const which = step.process ? `Process ${step.process.pid} on ${step.process.host}` : "The process";
    return html`<p class="doubt doubt-gone">${which} has ended. It was inside ${whose}, which began at ${when} and never finished.</p>`;
  }
  // For a step that has hardly ever ended, the usual duration is unknown.
  const unusual = p50Ms !== null && serverNow() - Date.parse(since) > MUCH_LONGER * p50Ms;
  return html`<p class="doubt doubt-silent">
    No further record of ${whose} has arrived since it began at ${when}${unusual ? ", far longer than it usually takes" : ""}.
    ${" "}<${Whereabouts} step=${step} />
    ${lastEvent !== since && html`${" "}The last event of the run was ${ago(lastEvent, serverNow())}.`}
  </p>`;
}

// What is known of the process of a step that has not ended.
function Whereabouts({ step: { process, processIsHere } }) {
  if (!process) return "Which process it runs in was not reported.";
  if (processIsHere) return html`Process ${process.pid} is still running here.`;
  return html`Whether process ${process.pid} on ${process.host} is still running is not known here.`;
}

function StepError({ error }) {
  return html`<section class="step-error" aria-label="Error">
    <${Clamped} key=${error.name} text=${error.name} className="step-error-name" />
    <${Clamped} key=${error.message} text=${error.message} className="step-error-message" />
  </section>`;
}

function Facts({ step, traceUrl }) {
  const fact = (name, value) => html`<div class="meta-row"><dt>${name}</dt><dd>${value}</dd></div>`;
  const id = (name, value, link = null) => html`<span class="value-id">
    ${link ? html`<a class="mono linked" href=${link} target="_blank" rel="noopener noreferrer">${value}</a>` : html`<span class="mono">${value}</span>`}
    <${CopyButton} className="copy-small" label=${`Copy the ${name}`} text=${() => value}><${CopyIcon} /><//>
  </span>`;
  const at = (text) => html`<time datetime=${text} title=${dateTime(text)}>${clock(text, serverNow())}</time>`;
  return html`<section class="panel-part" aria-labelledby="facts-title">
    <h3 id="facts-title">Details</h3>
    <dl class="meta">
      ${fact("started", step.startedAt ? at(step.startedAt) : html`<span class="muted">not reported</span>`)}
      ${step.endedAt && fact("ended", at(step.endedAt))}
      ${step.process && fact("process", `${step.process.pid} on ${step.process.host}`)}
      ${step.process?.startTime && fact("process since", processStart(step.process))}
      ${fact("span id", id("span id", step.spanId))}
      ${fact("trace id", id("trace id", step.traceId, traceLink(traceUrl, step.traceId)))}
    </dl>
  </section>`;
}

function processStart({ startTime }) {
  return html`<time datetime=${startTime}>${clock(startTime, serverNow()).replace(/\.\d+/, "")}</time>`;
}

// The user's trace viewer; a template that gives anything but a web address gives no link.
export function traceLink(template, traceId) {
  if (!template || !traceId || /^0*$/.test(traceId)) return null;
  try {
    const url = new URL(template.replaceAll("{trace_id}", encodeURIComponent(traceId)));
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

export function CopyIcon() {
  return html`<svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line-icon">
    <rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 5.500V4a1.5 1.5 0 0 0-1.5-1.500H4A1.5 1.5 0 0 0 2.5 4v5A1.5 1.5 0 0 0 4 10.500h1.5" />
  </svg>`;
}
