// What stands in a node of the graph: on a flow its numbers, on a run what happened to the step.
import { html } from "../../lib/html.js";
import { isGrowing } from "../../lib/attempts.js";
import { count, duration, plural, rate } from "../../lib/format.js";
import { Glyph } from "../../lib/status.js";
import { Elapsed } from "../elapsed.js";

export const EDGE = 14;

let ruler = null;
const fitted = new Map();

// SVG does not shorten its text, so the label is measured once and cut to what fits: at its end, or `inside` where there
// is so little room that names would differ in nothing that is left.
function fit(text, width, font, inside = false) {
  const key = `${font}\n${width}\n${inside}\n${text}`;
  if (fitted.has(key)) return fitted.get(key);
  let shown = text;
  for (let length = text.length; widthOf(shown, font) > width && length > 1; ) {
    length -= 1;
    const tail = inside ? Math.floor(length / 2) : 0;
    shown = `${text.slice(0, length - tail).trimEnd()}…${text.slice(text.length - tail)}`;
  }
  return remember(key, shown);
}

function remember(key, value) {
  if (fitted.size > 5000) fitted.clear(); // Figures change for as long as the page is open.
  fitted.set(key, value);
  return value;
}

function widthOf(text, font) {
  ruler ??= document.createElement("canvas").getContext("2d");
  ruler.font = `${font} system-ui, sans-serif`;
  return ruler.measureText(text).width;
}

// The room that the text to the left of it leaves in a node, or null where that is enough.
export function beside(node, size, left, right) {
  const key = `${size}\n${node.width}\n${left}\n${right}`;
  if (fitted.has(key)) return fitted.get(key);
  const room = node.width - 2 * EDGE - 8 - widthOf(left, `600 ${size}px`);
  return remember(key, widthOf(right, `600 ${size}px`) > room ? room : null);
}

// `size` is that of the other text of the node.
export const Label = ({ node, size }) =>
  html`<text class="node-label" x=${EDGE} y="24">${fit(node.label, node.width - 2 * EDGE, `600 ${(size * 13) / 12}px`)}</text>`;

// `most`, where it is given, is how wide it may become: what is longer is set narrower.
export function Metric({ metric, value, word, before = false, most = null, ...place }) {
  const number = html`<tspan class="node-number" data-metric=${metric}>${value}</tspan>`;
  const narrow = most === null ? {} : { textLength: most, lengthAdjust: "spacingAndGlyphs" };
  return html`<text class="node-text" ...${place} ...${narrow}>${before ? `${word} ` : ""}${number}${before ? "" : ` ${word}`}</text>`;
}

export function FlowNode({ node, size }) {
  const right = { x: node.width - EDGE, "text-anchor": "end" };
  const [p50, p95] = [duration(node.p50Ms), duration(node.p95Ms)];
  return html`
    <${Label} node=${node} size=${size} />
    <${Metric} x=${EDGE} y="42" metric="runs" value=${count(node.runs)} word=${node.runs === 1 ? "run" : "runs"} />
    <${Metric} x=${EDGE} y="57.5" metric="failure-rate" value=${rate(node.failureRate)} word="failed" />
    <${Metric} x=${EDGE} y="73" metric="skip-rate" value=${rate(node.skipRate)} word="skipped" />
    ${node.p50Ms !== null && html`<${Metric} ...${right} y="42" metric="p50" value=${p50} word="p50" before=${true}
      most=${beside(node, size, plural(node.runs, "run"), `p50 ${p50}`)} />`}
    ${node.p95Ms !== null && html`<${Metric} ...${right} y="57.5" metric="p95" value=${p95} word="p95" before=${true}
      most=${beside(node, size, `${rate(node.failureRate)} failed`, `p95 ${p95}`)} />`}
    <${Current} node=${node} right=${right} />
    ${node.retries > 0 && html`<${Retries} node=${node} right=${right} />`}
  `;
}

// In how many runs it is now without an end: those whose process is gone, which are not running, come first.
export function Current({ node, right }) {
  const word = node.gone > 0 ? "gone" : "running";
  return node[word] > 0 && html`<${Metric} ...${right} y="73" metric=${word} value=${count(node[word])} word=${word} />`;
}

// The same as words.
export const currentWords = (node) =>
  ["gone", "running"].filter((word) => node[word] > 0).map((word) => `${count(node[word])} ${word}`);

// Beside what runs there is room for a sign alone.
function Retries({ node, right }) {
  const value = count(node.retries);
  if (node.running + node.gone > 0) return html`<${Metric} x=${node.width / 2} text-anchor="middle" y="73" metric="retries" value=${value} word="↻" before=${true} />`;
  return html`<${Metric} ...${right} y="73" metric="retries" value=${value} word=${node.retries === 1 ? "retry" : "retries"} />`;
}

export function RunNode({ node, state, size }) {
  if (state === null) {
    return html`<${Label} node=${node} size=${size} /><text class="node-text" x=${EDGE} y="48">not reached</text>`;
  }
  return html`
    <${Label} node=${node} size=${size} />
    <g class=${`kind-${state.kind}`}>
      <g transform=${`translate(${EDGE} 37)`}><${Glyph} kind=${state.kind} /></g>
      <text class="node-word" x=${EDGE + 20} y="48.5">${state.word}</text>
    </g>
    <text class="node-text" x=${EDGE} y="70"><tspan class="node-number"><${Length} step=${state.newest} /></tspan></text>
    ${state.attempts > 1 &&
    html`<text class="node-text" x=${node.width - EDGE} y="70" text-anchor="end">
      <tspan class="node-number" data-metric="attempts">${state.attempts}</tspan> attempts
    </text>`}
  `;
}

// In a small drawing: the name, and the one thing that matters most, in letters of `size`.
export function BriefNode({ node, size, text, kind }) {
  const width = node.width - 2 * EDGE;
  const style = { fontSize: `${size}px` };
  return html`
    <text class="node-label" x=${EDGE} y=${node.height / 2 - size / 4} style=${style}>${fit(node.label, width, `600 ${size}px`, true)}</text>
    <g class=${kind === null ? "" : `kind-${kind}`}>
      <text class=${kind === null ? "node-text" : "node-word"} x=${EDGE} y=${node.height / 2 + size} style=${style}>
        ${fit(text, width, `500 ${size}px`)}
      </text>
    </g>
  `;
}

// `state` is undefined on a flow, null where a run did not come.
export function briefWords(node, state) {
  if (state === null) return "not reached";
  if (state !== undefined) return state.word;
  if (node.failed > 0) return `${rate(node.failureRate)} failed`;
  if (node.gone + node.running > 0) return currentWords(node)[0];
  return node.p50Ms === null ? plural(node.runs, "run") : duration(node.p50Ms);
}

// How long an attempt took, or takes so far.
export function Length({ step }) {
  if (isGrowing(step)) return html`<${Elapsed} since=${step.startedAt} />`;
  return step.durationMs === null ? "" : duration(step.durationMs);
}

// All that a node shows, as one sentence. `state` is undefined on a flow, null where a run did not come.
export function nodeLabel(node, state) {
  if (state === undefined) {
    const said = [plural(node.runs, "run"), `${rate(node.failureRate)} failed`, `${rate(node.skipRate)} skipped`];
    if (node.p50Ms !== null) said.push(`p50 ${duration(node.p50Ms)}`);
    if (node.p95Ms !== null) said.push(`p95 ${duration(node.p95Ms)}`);
    if (node.retries > 0) said.push(`${count(node.failedAttempts)} of ${count(node.attempts)} attempts failed`, plural(node.retries, "retry", "retries"));
    said.push(...currentWords(node));
    return `${node.label}: ${said.join(", ")}`;
  }
  if (state === null) return `${node.label}: not reached`;
  const said = [state.word];
  if (state.newest.durationMs !== null) said.push(duration(state.newest.durationMs));
  if (state.attempts > 1) said.push(plural(state.attempts, "attempt"));
  return `${node.label}: ${said.join(", ")}`;
}
