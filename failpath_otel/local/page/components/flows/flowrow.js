// A flow as a row of the list of flows: what has changed, how its last runs ended, its rates, what runs now.
import { Component, html } from "../../lib/html.js";
import { Changes } from "./changes.js";
import { Spark } from "./charts.js";
import { ago, count, dateTime, duration, plural, rate } from "../../lib/format.js";
import { flowPath, Link, runPath } from "../../lib/router.js";
import { Glyph, look } from "../../lib/status.js";

export const OUTCOMES = 20;

export class FlowRow extends Component {
  // With hundreds of rows and changes each half second, only those that look different are rendered again.
  shouldComponentUpdate(next) {
    return ["flow", "seen", "selected", "place"].some((name) => next[name] !== this.props[name]);
  }

  render({ flow, now, seen, attributes }) {
    const { flowKey, trend } = flow;
    return html`<tr role="row" class="list-row" data-testid="flow-row" data-flow=${flowKey} ...${attributes}>
      <td role="cell" class="cell-flow">
        <${Link} href=${flowPath(flowKey)} class="row-link mono" data-row-link>${flowKey}<//>
        <span class="sub">${plural(flow.total, "run")}${flow.retriedRuns > 0 ? `, ${count(flow.retriedRuns)} with retries` : ""}${flow.runs < flow.total ? `, figures of the newest ${count(flow.runs)}` : ""}</span>
        <${Changes} changes=${trend.changes} flowKey=${flowKey} now=${now} />
      </td>
      <td role="cell" class="cell-outcomes"><${Outcomes} flow=${flow} /></td>
      <td role="cell" class="number cell-rate" data-label="Failure rate">
        <span data-metric="failure-rate" class=${flow.failed > 0 ? "kind-error strong" : ""}>
          ${rate(flow.failureRate)}
        </span>
        <span class="sub">${flow.ended > 0 ? `${count(flow.failed)} of ${count(flow.ended)}` : ""}</span>
        ${flow.total > 0 && html`<${Spark} kind="failureRate" trend=${trend} />`}
      </td>
      <td role="cell" class="number" data-label="p50"><span data-metric="p50">${duration(flow.p50Ms)}</span></td>
      <td role="cell" class="number cell-p95" data-label="p95">
        <span data-metric="p95">${duration(flow.p95Ms)}</span>
        ${flow.total > 0 && html`<${Spark} kind="p95" trend=${trend} />`}
      </td>
      <td role="cell" class="cell-now"><${Now} flow=${flow} /></td>
      <td role="cell" class="number cell-seen">
        <time datetime=${flow.lastSeen} title=${dateTime(flow.lastSeen)}>${seen}</time>
      </td>
    </tr>`;
  }
}

export const seenText = (flow, now) => ago(flow.lastSeen, now);

// The newest stands right, so that what is new comes in at the same place in every row.
function Outcomes({ flow }) {
  return html`<ol class="outcomes" aria-label=${`Last runs of ${flow.flowKey}, oldest first`}>
    ${Array.from({ length: Math.max(0, OUTCOMES - flow.outcomes.length) }, (_, index) =>
      html`<li key=${index} class="outcome-none" aria-hidden="true"></li>`)}
    ${flow.outcomes.map(({ runId, status, liveness }) => {
      const { word, kind } = look(status, liveness);
      return html`<li key=${runId}>
        <${Link} href=${runPath(runId, flow.flowKey)} class=${`outcome outcome-${kind}`} data-testid="outcome"
          data-kind=${kind} title=${`${runId}: ${word}`} aria-label=${`${runId}: ${word}`}>
          <${Glyph} kind=${kind} />
        <//>
      </li>`;
    })}
  </ol>`;
}

// `running` counts what is not known to be quiet.
function Now({ flow }) {
  const parts = [["running", flow.running], ["silent", flow.silent], ["gone", flow.gone]].filter(([, number]) => number > 0);
  return html`<span class="now" data-metric="running" data-running=${flow.running}>
    ${parts.length === 0 && html`<span class="muted">–</span>`}
    ${parts.map(([kind, number]) => html`<span class=${`badge status kind-${kind}`} key=${kind}>
      <${Glyph} kind=${kind} />${count(number)} ${kind === "running" ? "running" : kind}
    </span>`)}
  </span>`;
}
