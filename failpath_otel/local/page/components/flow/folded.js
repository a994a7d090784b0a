// Steps that only a number tells apart, folded into one node: how many there are, and what happened to them.
import { html } from "../../lib/html.js";
import { count, duration, plural, rate } from "../../lib/format.js";
import { Glyph } from "../../lib/status.js";
import { beside, Current, currentWords, EDGE, Label, Metric } from "./node.js";

// The kinds of a step in a run, worst first, and how many of them are said.
const WORDS = {
  error: "failed",
  gone: "gone",
  silent: "silent",
  running: "running",
  success: "succeeded",
  skipped: "skipped",
  none: "not reached",
};

export const isFolded = (node) => node.members?.length > 0;

// What happened in a run to a folded node: to how many of its members, of which kind the worst is.
export function foldedState(node, states) {
  const counts = new Map(Object.keys(WORDS).map((kind) => [kind, 0]));
  for (const key of node.members) {
    const kind = states.get(key)?.kind ?? "none";
    counts.set(kind, counts.get(kind) + 1);
  }
  const said = [...counts].filter(([, number]) => number > 0);
  const kind = said[0]?.[0] ?? "none";
  return { kind, words: said.map(([of, number]) => `${count(number)} ${WORDS[of]}`) };
}

// The two edges of the sheets below the uppermost one.
export const Stack = ({ node }) =>
  html`<path class="node-sheet" d=${sheet(node, 8)} /><path class="node-sheet" d=${sheet(node, 4)} />`;

const sheet = ({ width, height }, by) =>
  `M${by} ${-by + 8}q0-8 8-8H${width + by - 8}q8 0 8 8V${height - by - 8}q0 8-8 8H${by + 8}q-8 0-8-8z`;

export function FoldedFlowNode({ node, size }) {
  const right = { x: node.width - EDGE, "text-anchor": "end" };
  const [p50, p95] = [duration(node.p50Ms), duration(node.p95Ms)];
  return html`
    <${Label} node=${node} size=${size} />
    <${Metric} x=${EDGE} y="42" metric="members" value=${count(node.members.length)} word="steps" />
    <${Metric} x=${EDGE} y="57.5" metric="failure-rate" value=${rate(node.failureRate)} word="failed" />
    ${node.failedMembers > 0 && html`<${Metric} x=${EDGE} y="73" metric="failed-members" value=${count(node.failedMembers)} word="of them fail" />`}
    ${node.p50Ms !== null && html`<${Metric} ...${right} y="42" metric="p50" value=${p50} word="p50" before=${true}
      most=${beside(node, size, plural(node.members.length, "step"), `p50 ${p50}`)} />`}
    ${node.p95Ms !== null && html`<${Metric} ...${right} y="57.5" metric="p95" value=${p95} word="p95" before=${true}
      most=${beside(node, size, `${rate(node.failureRate)} failed`, `p95 ${p95}`)} />`}
    <${Current} node=${node} right=${right} />
  `;
}

export function FoldedRunNode({ node, state, size }) {
  const [worst, ...others] = state.words;
  return html`
    <${Label} node=${node} size=${size} />
    ${state.kind === "none"
      ? html`<text class="node-text" x=${EDGE} y="48">${worst}</text>`
      : html`<g class=${`kind-${state.kind}`}>
          <g transform=${`translate(${EDGE} 37)`}><${Glyph} kind=${state.kind} /></g>
          <text class="node-word" x=${EDGE + 20} y="48.5">${worst}</text>
        </g>`}
    <${Metric} x=${node.width - EDGE} y="48" text-anchor="end" metric="members" value=${count(node.members.length)} word="steps" />
    <text class="node-text" x=${EDGE} y="70">${others.slice(0, 2).join(", ")}</text>
  `;
}

// All that a folded node shows, as one sentence. `state` is undefined on a flow.
export function foldedLabel(node, state) {
  const said = [`${plural(node.members.length, "step")} folded into one`];
  if (state !== undefined) return `${node.label}: ${[...said, ...state.words].join(", ")}`;
  said.push(`${rate(node.failureRate)} failed`);
  if (node.failedMembers > 0) said.push(`${count(node.failedMembers)} of them fail`);
  if (node.p50Ms !== null) said.push(`p50 ${duration(node.p50Ms)}`);
  if (node.p95Ms !== null) said.push(`p95 ${duration(node.p95Ms)}`);
  said.push(...currentWords(node));
  return `${node.label}: ${said.join(", ")}`;
}

// In a small drawing.
export const foldedBrief = (node, state) => (state === undefined ? briefOfFlow(node) : state.words[0]);

function briefOfFlow(node) {
  if (node.failedMembers > 0) return `${count(node.failedMembers)} of ${count(node.members.length)} fail`;
  return plural(node.members.length, "step");
}
