// How a status looks: its word, its kind (the name of its colours) and its glyph, whose shape differs without colour.
import { html } from "./html.js";

const WORDS = {
  running: "running",
  silent: "silent",
  gone: "process gone",
  success: "success",
  error: "error",
  skipped: "skipped",
};

// On a grid of 14; the ring of `running` turns by CSS.
const SHAPES = {
  running: () => html`<circle cx="7" cy="7" r="5" class="glyph-ring" />
    <path d="M5.75 4.8 9 7 5.75 9.2z" class="glyph-fill" />`,
  silent: () => html`<circle cx="7" cy="7" r="5" stroke-dasharray="1.9 2" /><path d="M4.9 7h4.2" />`,
  gone: () => html`<path d="M8.8 2.300A5 5 0 0 1 11.7 8.700M9.6 11.300A5 5 0 0 1 2.4 9M2 6.200A5 5 0 0 1 5.8 2.15" />
    <path d="m5.2 5.2 3.6 3.600m0-3.600L5.2 8.8" />`,
  success: () => html`<path d="m2.8 7.4 2.9 2.9 5.5-6.2" class="glyph-bold" />`,
  error: () => html`<path d="M4.4 1.700h5.200l2.7 2.700v5.200l-2.7 2.700H4.400L1.7 9.600V4.400z" class="glyph-fill" />
    <path d="m5.1 5.1 3.8 3.800m0-3.800L5.1 8.9" class="glyph-cut" />`,
  skipped: () => html`<path d="m3 3.5 3.5 3.500L3 10.500m4.5-7L11 7l-3.5 3.5" />`,
};

export function look(status, liveness) {
  let kind = status in WORDS ? status : "skipped";
  if (status === "running" && (liveness === "silent" || liveness === "gone")) kind = liveness;
  return { word: WORDS[kind], glyph: SHAPES[kind](), kind };
}

export function Glyph({ kind }) {
  return html`<svg class="glyph glyph-${kind}" viewBox="0 0 14 14" width="14" height="14" aria-hidden="true">
    ${SHAPES[kind]()}
  </svg>`;
}

export function Status({ status, liveness, short = false }) {
  const { word, kind } = look(status, liveness);
  return html`<span class="status kind-${kind}">
    <${Glyph} kind=${kind} /><span class=${short ? "visually-hidden" : "status-word"}>${word}</span>
  </span>`;
}
