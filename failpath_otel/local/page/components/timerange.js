// The control of the time range: the usual ones side by side, and a dialog for a begin and an end.
import { html, useLayoutEffect, useRef, useState } from "../lib/html.js";
import { useKeys } from "../lib/keyboard.js";
import { between, CHOICES, fromField, named, toField } from "../lib/range.js";
import { setQuery } from "../lib/router.js";

const PLACE = { before: null }; // A place in a list is one of the range that it was in.
const ARROWS = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity };

export function TimeRange({ range }) {
  const [open, setOpen] = useState(false);
  const group = useRef(null);
  useKeys({ t: () => group.current.querySelector('[aria-pressed="true"]')?.focus() });
  const choose = (name) => setQuery({ ...named(name), ...PLACE });
  const move = (event) => {
    const step = ARROWS[event.key];
    if (step === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    const buttons = [...group.current.querySelectorAll("button")];
    const at = buttons.indexOf(document.activeElement) + step;
    buttons[Math.max(0, Math.min(buttons.length - 1, at))].focus();
    event.preventDefault();
  };
  const custom = range.name === "custom";
  return html`<div class="segments" role="group" aria-label="Time range" data-testid="time-range"
    data-range=${range.name} ref=${group} onKeyDown=${move}>
    ${CHOICES.map(({ name, label, words }) => html`<button type="button" key=${name} class="segment"
      aria-pressed=${name === range.name ? "true" : "false"} title=${`Runs of ${words} (t)`} aria-label=${words}
      onClick=${() => choose(name)}>${label}</button>`)}
    <button type="button" class="segment" data-testid="from-to" aria-pressed=${custom ? "true" : "false"}
      aria-haspopup="dialog" onClick=${() => setOpen(true)}>${custom ? spoken(range) : "From – to"}</button>
    ${open && html`<${FromTo} range=${range} onClose=${() => setOpen(false)} />`}
  </div>`;
}

const DAY_AND_TIME = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const short = (text) => new Date(text).toLocaleString("en-GB", DAY_AND_TIME);

function spoken({ from, to }) {
  if (from === null) return `until ${short(to)}`;
  return to === null ? `since ${short(from)}` : `${short(from)} – ${short(to)}`;
}

function FromTo({ range, onClose }) {
  const dialog = useRef(null);
  const [from, setFrom] = useState(toField(range.from));
  const [to, setTo] = useState(toField(range.to));
  const [error, setError] = useState(null);
  useLayoutEffect(() => dialog.current.showModal(), []);
  const apply = (event) => {
    event.preventDefault();
    const [since, until] = [fromField(from), fromField(to)];
    if (since !== null && until !== null && since >= until) {
      setError("The end has to be later than the begin.");
      return;
    }
    dialog.current.close();
    setQuery({ ...between(since, until), ...PLACE });
  };
  const outside = (event) => event.target === dialog.current && dialog.current.close();
  const field = (id, label, value, set) => html`<div class="from-to-field">
    <label for=${id}>${label}</label>
    <input type="datetime-local" step="1" id=${id} class="field" value=${value}
      onInput=${(event) => set(event.currentTarget.value)} aria-describedby="from-to-note" />
  </div>`;
  return html`<dialog ref=${dialog} class="help from-to" aria-labelledby="from-to-title" onClose=${onClose}
    onClick=${outside}>
    <form class="from-to-body" onSubmit=${apply}>
      <h2 id="from-to-title">Runs active from – to</h2>
      <div class="from-to-fields">
        ${field("range-from", "From", from, setFrom)}
        ${field("range-to", "Up to", to, setTo)}
      </div>
      <p class="muted" id="from-to-note">In the time of this browser, ${zone()}. An empty field is no limit.</p>
      ${error && html`<p role="alert" class="kind-error">${error}</p>`}
      <div class="from-to-end">
        <button type="button" class="button button-quiet" onClick=${() => dialog.current.close()}>Cancel</button>
        <button type="submit" class="button button-primary">Show</button>
      </div>
    </form>
  </dialog>`;
}

function zone() {
  const minutes = -new Date().getTimezoneOffset();
  const two = (number) => String(number).padStart(2, "0");
  const parts = [two(Math.floor(Math.abs(minutes) / 60)), two(Math.abs(minutes) % 60)];
  return `${Intl.DateTimeFormat().resolvedOptions().timeZone} (UTC${minutes < 0 ? "−" : "+"}${parts.join(":")})`;
}
