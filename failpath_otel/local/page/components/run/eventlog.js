// The event log of a run: its events in their canonical order, as they were received.
import { html, useState } from "../../lib/html.js";
import { instant } from "../../lib/attempts.js";
import { dateTime, duration, plural, time } from "../../lib/format.js";
import { Status } from "../../lib/status.js";

const OPEN_UP_TO = 50;
const LATE_MS = 1000;

export function EventLog({ events, onSelect }) {
  const [open, setOpen] = useState(null);
  const shown = open ?? events.length <= OPEN_UP_TO;
  return html`<details class="event-log card" data-testid="event-log" open=${shown} onToggle=${(event) => {
    if (event.currentTarget.open !== shown) setOpen(event.currentTarget.open);
  }}>
    <summary><h2>Event log</h2><span class="muted">${plural(events.length, "event")}</span></summary>
    ${shown &&
    html`<div class="scroll-x" role="region" aria-label="Event log" tabindex="0">
      <table class="events">
        <thead>
          <tr><th scope="col">Time</th><th scope="col">Status</th><th scope="col">Step</th><th scope="col" class="number">Duration</th><th scope="col">Error</th></tr>
        </thead>
        <tbody>
          ${events.map((event) => html`<${EventRow} key=${event.id} event=${event} onSelect=${onSelect} />`)}
        </tbody>
      </table>
    </div>`}
  </details>`;
}

function EventRow({ event, onSelect }) {
  const late = instant(event.receivedAt) - instant(event.timestamp);
  return html`<tr class="event" data-testid="event" data-status=${event.status}>
    <td class="mono nowrap" title=${dateTime(event.timestamp)}>
      ${time(event.timestamp)}${late >= LATE_MS && html`<span class="late">received ${duration(late)} later</span>`}
    </td>
    <td><${Status} status=${event.status} liveness=${null} /></td>
    <td>
      <button type="button" class="plain-link mono" onClick=${() => onSelect(event)}>${event.stepKey}</button>
      ${event.attempt > 1 && html`<span class="attempt-number"><span class="visually-hidden">attempt </span>#${event.attempt}</span>`}
    </td>
    <td class="number">${event.durationMs === null ? "" : duration(event.durationMs)}</td>
    <td class="event-error">${event.error && html`<span class="event-error-name">${event.error.name}</span> ${event.error.message}`}</td>
  </tr>`;
}
