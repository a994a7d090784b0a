// Metadata as a tidy table; what is nested stands indented below its name.
import { html } from "../../lib/html.js";
import { Link, search } from "../../lib/router.js";

const LONGEST_PAIR = 256;

// What the list of runs can be filtered by: a plain value, as the receiver writes it.
function pairOf(name, value) {
  if (value !== null && typeof value === "object") return null;
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return null; // Its digits are lost here.
  const pair = `${name}=${plain(value)}`;
  return [...pair].length > LONGEST_PAIR ? null : pair;
}

// A list of plain values is shown in one line.
const isNested = (value) =>
  value !== null && typeof value === "object" && !(Array.isArray(value) && value.every((item) => item === null || typeof item !== "object"));

const plain = (value) => (typeof value === "string" ? value : JSON.stringify(value));

function Value({ value }) {
  if (typeof value === "string") return html`<span class="value-text">${value}</span>`;
  if (Array.isArray(value) && value.length > 0) return html`<span class="value-text">${value.map(plain).join(", ")}</span>`;
  return html`<span class="value-plain">${JSON.stringify(value)}</span>`;
}

function Entry({ name, value, depth }) {
  const indent = { paddingLeft: `${Math.min(depth, 6) * 16}px` };
  if (!isNested(value) || Object.keys(value).length === 0) {
    const shown = html`<${Value} value=${value} />`;
    const pair = depth === 0 ? pairOf(name, value) : null;
    return html`<div class="meta-row"><dt style=${indent}>${name}</dt><dd>${pair === null ? shown : html`<${Link}
      class="meta-filter" data-testid="meta-filter" href=${`/runs${search({ meta: pair })}`} title=${`All runs with ${pair}`}>${shown}<//>`}</dd></div>`;
  }
  return html`
    <div class="meta-row"><dt style=${indent}>${name}</dt><dd class="muted">${Array.isArray(value) ? `${value.length} items` : ""}</dd></div>
    ${Object.entries(value).map(([key, inner]) => html`<${Entry} key=${key} name=${key} value=${inner} depth=${depth + 1} />`)}
  `;
}

export function Entries({ values }) {
  return html`<dl class="meta">
    ${Object.entries(values).map(([name, value]) => html`<${Entry} key=${name} name=${name} value=${value} depth=${0} />`)}
  </dl>`;
}

export function Metadata({ metadata }) {
  if (Object.keys(metadata).length === 0) return null;
  return html`<section class="panel-part" aria-labelledby="metadata-title">
    <h3 id="metadata-title">Metadata</h3>
    <${Entries} values=${metadata} />
  </section>`;
}
