// The filters of the list of runs; each of them lives in the address.
import { html, useEffect, useMemo, useRef, useState } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { useKeys } from "../lib/keyboard.js";
import { memo } from "../lib/memo.js";
import { setQuery } from "../lib/router.js";
import { useStream } from "../lib/stream.js";

const TYPING_MS = 150;
const NONE = { flow: null, status: null, text: null, error: null, meta: null, pinned: null, before: null };
const STATUSES = [
  ["running", "running"],
  ["silent", "silent"],
  ["gone", "process gone"],
  ["success", "success"],
  ["error", "error"],
  ["skipped", "skipped"],
];

export function Filters({ filter, filtered }) {
  const { data, reload, reloadSoon } = useResource("flow-keys", { every: 5000 });
  const known = data?.keys ?? [];
  useStream(({ rows, more }) => {
    if (more || rows.some(({ flowKey }) => !known.includes(flowKey))) reloadSoon();
  }, reload);
  const flows = useMemo(() => {
    const keys = [...new Set(filter.flow ? [...known, filter.flow] : known)].sort();
    return keys.map((key) => [key, key]);
  }, [data, filter.flow]);
  const stay = (event) => event.preventDefault();
  return html`<form class="filters" role="search" aria-label="Filter runs" onSubmit=${stay}>
    <${TextFilter} text=${filter.text} />
    <label class="visually-hidden" for="filter-flow">Flow</label>
    <${Choice} name="flow" any="All flows" chosen=${filter.flow} options=${flows} />
    <label class="visually-hidden" for="filter-status">Status</label>
    <${Choice} name="status" any="Any status" chosen=${filter.status} options=${STATUSES} />
    <button type="button" class="button" data-testid="filter-pinned" aria-pressed=${filter.pinned ? "true" : "false"}
      onClick=${() => setQuery({ pinned: filter.pinned ? null : "1", before: null })}>Pinned</button>
    ${filtered && html`<button type="button" class="button button-quiet" data-testid="clear-filters"
      onClick=${() => setQuery(NONE)}>Clear</button>`}
    ${filter.meta.length > 0 && html`<${Chips} meta=${filter.meta} />`}
  </form>`;
}

// What the metadata of a step has to have; each came from a click on a value, and goes by one.
function Chips({ meta }) {
  return html`<ul class="chips" aria-label="Metadata">
    ${meta.map((pair) => html`<li key=${pair}>
      <button type="button" class="chip" data-testid="meta-chip" title="Remove this filter"
        onClick=${() => setQuery({ meta: meta.filter((each) => each !== pair), before: null })}>
        <span class="mono ellipsis">${pair}</span>
        <svg viewBox="0 0 16 16" width="12" height="12" aria-hidden="true" class="line-icon"><path d="m4 4 8 8m0-8-8 8" /></svg>
        <span class="visually-hidden">remove</span>
      </button>
    </li>`)}
  </ul>`;
}

// There may be thousands of flows, and the list beside it is rendered each second.
const Choice = memo(({ name, any, chosen, options }) => {
  const id = `filter-${name}`;
  const choose = (event) => setQuery({ [name]: event.currentTarget.value, before: null });
  return html`<select id=${id} class="field" data-testid=${id} value=${chosen} onChange=${choose}>
    <option value="" selected=${chosen === ""}>${any}</option>
    ${options.map(([value, word]) =>
      html`<option key=${value} value=${value} selected=${value === chosen}>${word}</option>`)}
  </select>`;
});

function TextFilter({ text }) {
  const [typed, setTyped] = useState(text);
  const field = useRef(null);
  const timer = useRef(null);
  const sent = useRef(text);

  // Back, or a cleared filter: what the address says holds.
  useEffect(() => {
    if (text === sent.current) return;
    sent.current = text;
    setTyped(text);
  }, [text]);
  useEffect(() => () => clearTimeout(timer.current), []);

  const apply = (value) => {
    clearTimeout(timer.current);
    sent.current = value;
    setQuery({ text: value, before: null }, { replace: true });
  };
  const type = (event) => {
    const { value } = event.currentTarget;
    setTyped(value);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => apply(value), TYPING_MS);
  };
  const key = (event) => {
    if (event.key === "Enter") apply(typed);
    if (event.key !== "Escape") return;
    event.preventDefault(); // Or the page would take it, too.
    field.current.blur();
  };
  useKeys({
    "/": () => {
      field.current.focus();
      field.current.select();
    },
  });
  return html`<div class="text-filter">
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line-icon">
      <circle cx="7" cy="7" r="4.5" /><path d="m10.5 10.5 3 3" />
    </svg>
    <label class="visually-hidden" for="filter-text">Run, step, error or metadata</label>
    <input id="filter-text" type="text" class="field" data-testid="filter-text"
      placeholder="Run, step, error or metadata" autocomplete="off" spellcheck=${false}
      ref=${field} value=${typed} onInput=${type} onKeyDown=${key} />
    <kbd aria-hidden="true">/</kbd>
  </div>`;
}
