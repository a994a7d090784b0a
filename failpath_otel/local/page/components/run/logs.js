// The logs of a run: those of the selected step in its panel, and all of them between the events of the event log.
import { html, useEffect, useMemo, useState } from "../../lib/html.js";
import { useResource } from "../../lib/api.js";
import { Entries } from "./metadata.js";
import { dateTime, isToday, plural, time, zone } from "../../lib/format.js";
import { search } from "../../lib/router.js";
import { Stack } from "./stack.js";
import { serverNow } from "../../lib/stream.js";
import { useVirtual } from "../../lib/virtual.js";

const RELOAD_MS = 1000;
const ROW = 28;
const NONE = [];

const SHAPES = {
  fatal: () => html`<path d="M4.4 1.700h5.200l2.7 2.700v5.200l-2.7 2.700H4.400L1.7 9.600V4.400z" class="glyph-fill" /><path d="m5.1 5.1 3.8 3.800m0-3.800L5.1 8.9" class="glyph-cut" />`,
  error: () => html`<path d="M4.4 1.700h5.200l2.7 2.700v5.200l-2.7 2.700H4.400L1.7 9.600V4.400z" /><path d="m5.1 5.1 3.8 3.800m0-3.800L5.1 8.9" />`,
  warn: () => html`<path d="M7 2 12.5 11.500H1.500z" /><path d="M7 5.500v3M7 10v.2" />`,
  info: () => html`<circle cx="7" cy="7" r="5" /><path d="M7 6.300v3.500M7 4.200v.2" />`,
  debug: () => html`<circle cx="7" cy="7" r="2.500" />`,
  trace: () => html`<path d="M4.500 7h5" />`,
};

// How a record belongs to the step, where its span does not say it.
const RELATIONS = {
  during: ["while it ran", "The span of this record is not known here. It is in the same trace, while no other step ran."],
  run: ["in the trace", "The span of this record is not known here. It is in the same trace, while several steps ran, or none."],
};

// `revision` is that of the run as it is shown: a newer one may have newer logs.
export function useLogs({ run, revision }) {
  const path = `logs/${encodeURIComponent(run.runId)}${search({ flow: run.flowKey })}`;
  const { data, reloadSoon } = useResource(path, { every: RELOAD_MS });
  useEffect(() => {
    if (data !== null && revision > data.revision) reloadSoon();
  }, [revision, data?.revision]);
  return { lines: data?.logs ?? NONE, leftOut: data?.leftOut ?? 0 };
}

// The logs of one attempt of a step, as a part of its panel.
export function StepLogs({ logs, step }) {
  const own = useMemo(
    () => logs.lines.filter((line) => line.stepKey === step.stepKey && line.attempt === step.attempt),
    [logs.lines, step.stepKey, step.attempt],
  );
  const rows = useVirtual(own.length, { height: ROW, measured: true, keyOf: (index) => own[index].id });
  if (own.length === 0) return null;
  return html`<section class="panel-part" aria-labelledby="logs-title" data-testid="step-logs">
    <div class="part-head"><h3 id="logs-title">Logs</h3><span class="muted logs-count">${plural(own.length, "line")}</span></div>
    <div class="log-lines" role="region" aria-label="Logs of the step" tabindex="0">
      <div role="list" ref=${rows.ref}>
        ${rows.render((index, place) => html`<div ...${place} class="log-line" role="listitem" data-testid="log"
          data-severity=${own[index].severity ?? "none"} data-relation=${own[index].relation}>
          <${Record} line=${own[index]} at=${true} />
        </div>`)}
      </div>
    </div>
    ${logs.leftOut > 0 && html`<p class="muted logs-note" data-testid="logs-left-out">${leftOutText(logs.leftOut)}</p>`}
  </section>`;
}

const leftOutText = (leftOut) => `${plural(leftOut, "older line")} of this run's traces ${leftOut === 1 ? "is" : "are"} not shown.`;

// Where the logs stand between the events: how many rows there are, and `at(index)`, which gives `{line}` or the
// `event`, the index of an event. With `hidden` there are events only.
export function between(lines, events, hidden) {
  const shown = hidden ? NONE : lines;
  const places = shown.map((line, index) => Math.min(line.eventsBefore, events) + index);
  const at = (index) => {
    let low = 0;
    let high = places.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (places[middle] < index) low = middle + 1;
      else high = middle;
    }
    return places[low] === index ? { line: shown[low] } : { event: index - low };
  };
  return { count: events + shown.length, at };
}

// A row of the event log.
export function LogRow({ line, onSelect, ...place }) {
  return html`<tr ...${place} class="event event-log-row" data-testid="log" data-severity=${line.severity ?? "none"} data-relation=${line.relation}>
    <td class="mono nowrap"><${At} line=${line} /></td>
    <td><${Severity} line=${line} /></td>
    <td>${line.stepKey !== null &&
    html`<button type="button" class="plain-link mono" onClick=${() => onSelect(line)}>${line.stepKey}</button>
      ${line.attempt > 1 && html`<span class="attempt-number"><span class="visually-hidden">attempt </span>#${line.attempt}</span>`}`}</td>
    <td colspan="2"><${Record} line=${line} /></td>
  </tr>`;
}

// The button that hides the logs of the event log, and shows them again.
export function LogsToggle({ logs, hidden, onToggle }) {
  if (logs.lines.length === 0) return null;
  return html`<div class="logs-bar">
    <button type="button" class="button button-small" data-testid="logs-toggle" aria-pressed=${hidden ? "false" : "true"} onClick=${onToggle}>
      Logs <span class="count">${logs.lines.length}</span>
    </button>
    ${logs.leftOut > 0 && !hidden && html`<span class="logs-note">${leftOutText(logs.leftOut)}</span>`}
  </div>`;
}

function At({ line: { timestamp } }) {
  const at = new Date(timestamp);
  return html`<span title=${`${dateTime(timestamp)} ${zone(at)}`}>${isToday(at, serverNow()) ? time(timestamp) : dateTime(timestamp)}</span>`;
}

function Severity({ line }) {
  const { severity, severityText } = line;
  const word = severity ?? (severityText.toLowerCase() || "log");
  return html`<span class=${`severity severity-${severity ?? "none"}`} title=${severityText || undefined}>
    ${severity !== null && html`<svg class="glyph severity-glyph" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">${SHAPES[severity]()}</svg>`}
    <span class="severity-word">${word}</span>
  </span>`;
}

// A record as a line, which unfolds to all that is known of it. `at`: with its time and severity.
function Record({ line, at = false }) {
  const [open, setOpen] = useState(false);
  const [mark, why] = RELATIONS[line.relation] ?? [];
  const more = line.details || line.cut;
  const head = html`
    ${at && html`<span class="log-at mono"><${At} line=${line} /></span><${Severity} line=${line} />`}
    <span class="log-body">${line.error !== null && html`<span class="event-error-name">${line.error}</span> `}${line.body}${line.cut && "…"}</span>
    ${mark && html`<span class="log-relation" title=${why}>${mark}</span>`}
    ${line.logger && html`<span class="log-logger mono">${line.logger}</span>`}`;
  return html`<div class="log-record">
    ${more
      ? html`<button type="button" class="log-head" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>${head}</button>`
      : html`<div class="log-head">${head}</div>`}
    ${open && html`<${Details} line=${line} />`}
  </div>`;
}

function Details({ line }) {
  const { data, error } = useResource(`log/${line.id}`);
  if (error !== null) return html`<p class="log-details muted">${error.status === 404 ? "It is not kept any more." : error.message}</p>`;
  if (data === null) return html`<p class="log-details muted">Loading …</p>`;
  return html`<div class="log-details" data-testid="log-details">
    ${line.cut && html`<pre class="log-whole" role="group" aria-label="Whole body" tabindex="0">${data.body}</pre>`}
    ${data.error && html`<p><span class="event-error-name">${data.error.name}</span> ${data.error.message}</p>`}
    ${data.error?.stack && html`<${Stack} error=${data.error} />`}
    ${Object.keys(data.attributes).length > 0 && html`<${Entries} values=${data.attributes} />`}
    ${line.service && html`<p class="muted">service <span class="mono">${line.service}</span></p>`}
  </div>`;
}
