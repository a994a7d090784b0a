// The event log of a run: its events in their canonical order, as they were received.
import { html, useState } from "../../lib/html.js";
import { beginning } from "./clamped.js";
import { instant } from "../../lib/attempts.js";
import { dateTime, duration, isToday, plural, time, zone } from "../../lib/format.js";
import { between, LogRow, LogsToggle } from "./logs.js";
import { useEvents } from "./longrun.js";
import { Status } from "../../lib/status.js";
import { serverNow } from "../../lib/stream.js";
import { useVirtual } from "../../lib/virtual.js";

const OPEN_UP_TO = 50;
const LATE_MS = 1000;
const ROW = 33;
const MESSAGE = 300; // Characters; the panel of the step has all of it.

export function EventLog({ data, logs, onSelect }) {
  const [open, setOpen] = useState(null);
  const count = data.eventCount;
  const shown = open ?? count <= OPEN_UP_TO;
  return html`<details class="event-log card" data-testid="event-log" open=${shown} onToggle=${(event) => {
    if (event.currentTarget.open !== shown) setOpen(event.currentTarget.open);
  }}>
    <summary><h2>Event log</h2><span class="muted">${plural(count, "event")}</span></summary>
    ${shown && html`<${Events} data=${data} count=${count} logs=${logs} onSelect=${onSelect} />`}
  </details>`;
}

function Events({ data, count, logs, onSelect }) {
  const [hidden, setHidden] = useState(false);
  const eventAt = useEvents(data);
  const all = between(logs.lines, count, hidden);
  const keyOf = (index) => {
    const { line, event } = all.at(index);
    return line ? `log ${line.id}` : (eventAt(event)?.id ?? `event ${event}`);
  };
  const rows = useVirtual(all.count, { height: ROW, measured: true, table: true, keyOf });
  const { startedAt } = data.run;
  const older = !isToday(new Date(startedAt), serverNow());
  return html`<${LogsToggle} logs=${logs} hidden=${hidden} onToggle=${() => setHidden(!hidden)} />
  <div class="scroll-x" role="region" aria-label="Event log" tabindex="0">
    <table class=${`events${rows.whole ? "" : " events-long"}`} ...${rows.list}>
      <thead>
        <tr>
          <th scope="col" class="events-time">Time${older && html`<span class="events-zone">, ${zone(new Date(startedAt))}</span>`}</th>
          <th scope="col" class="events-status">Status</th><th scope="col">Step</th>
          <th scope="col" class="number events-duration">Duration</th><th scope="col">Error</th>
        </tr>
      </thead>
      <tbody ref=${rows.ref}>
        ${rows.render((index, place) => {
          const { line, event: number } = all.at(index);
          if (line) return html`<${LogRow} ...${place} line=${line} onSelect=${onSelect} />`;
          const event = eventAt(number);
          return event === null
            ? html`<tr ...${place} class="event-awaited"><td colspan="5"></td></tr>`
            : html`<${EventRow} ...${place} event=${event} onSelect=${onSelect} />`;
        })}
      </tbody>
    </table>
  </div>`;
}

function EventRow({ event, onSelect, ...place }) {
  const late = instant(event.receivedAt) - instant(event.timestamp);
  const at = new Date(event.timestamp);
  const { error } = event;
  return html`<tr ...${place} class="event" data-testid="event" data-status=${event.status}>
    <td class="mono nowrap" title=${`${dateTime(event.timestamp)} ${zone(at)}`}>
      ${isToday(at, serverNow()) ? time(event.timestamp) : dateTime(event.timestamp)}${late >= LATE_MS && html`<span class="late">received ${duration(late)} later</span>`}
    </td>
    <td><${Status} status=${event.status} liveness=${null} /></td>
    <td>
      <button type="button" class="plain-link mono" onClick=${() => onSelect(event)}>${event.stepKey}</button>
      ${event.attempt > 1 && html`<span class="attempt-number"><span class="visually-hidden">attempt </span>#${event.attempt}</span>`}
    </td>
    <td class="number">${event.durationMs === null ? "" : duration(event.durationMs)}</td>
    <td class="event-error">${error && html`<span class="event-error-name">${error.name}</span> ${cut(error.message)}`}</td>
  </tr>`;
}

function cut(message) {
  const some = beginning(message, MESSAGE);
  return some.length < message.length ? `${some.trimEnd()}…` : message;
}
