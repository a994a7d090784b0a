// The lists of the view of a flow: what differs from its declaration, and the last runs.
import { html } from "../../lib/html.js";
import { ago, count, dateTime, plural } from "../../lib/format.js";
import { RunDuration } from "../parts.js";
import { Link, navigate, runPath } from "../../lib/router.js";
import { useHeldRows, useHolding } from "../held.js";
import { useRows } from "../../lib/rows.js";
import { look, Status } from "../../lib/status.js";
import { serverNow } from "../../lib/stream.js";

const DRIFT_SHOWN = 20;

// How the runs differ from the declared flow, which is nothing where no file declares it.
export function DriftList({ drift }) {
  if (drift.length === 0) return null;
  const hidden = drift.length - DRIFT_SHOWN;
  return html`<section class="card drift" aria-labelledby="drift-title" data-testid="drift">
    <div class="card-head"><h2 id="drift-title">Differs from flows.json</h2></div>
    <ul class="drift-list">
      ${drift.slice(0, DRIFT_SHOWN).map(
        ({ code, message }) => html`<li key=${message} data-testid="drift-item" data-code=${code}
          class=${code.startsWith("unknown") ? "drift-error" : ""}>${message}</li>`,
      )}
    </ul>
    ${hidden > 0 && html`<p class="card-note muted">and ${count(hidden)} more</p>`}
  </section>`;
}

export function LastRuns({ runs, labels }) {
  const [held, holding] = useHolding();
  const items = useHeldRows(runs, ({ runId }) => runId, held).map((run) => ({ key: run.runId, run }));
  const { row } = useRows(items, {
    failed: ({ run }) => ["error", "gone"].includes(look(run.status, run.liveness).kind),
    open: ({ run }) => navigate(runPath(run.runId, run.flowKey)),
  });
  return html`<section class="card" aria-labelledby="last-title" ...${holding}>
    <div class="card-head"><h2 id="last-title">Last runs</h2></div>
    ${items.length === 0
      ? html`<p class="card-note muted">No run yet.</p>`
      : html`<table class="last-runs" role="table" aria-labelledby="last-title">
          <thead role="rowgroup">
            <tr role="row">
              <th role="columnheader" scope="col" class="last-run-status">Status</th>
              <th role="columnheader" scope="col">Run</th>
              <th role="columnheader" scope="col" class="last-run-where">Step</th>
              <th role="columnheader" scope="col" class="number last-run-length">Duration</th>
              <th role="columnheader" scope="col" class="number last-run-when">Last event</th>
            </tr>
          </thead>
          <tbody role="rowgroup">
            ${items.map(({ key, run }) => html`<${LastRun} key=${key} run=${run} labels=${labels} attributes=${row(key)} />`)}
          </tbody>
        </table>`}
  </section>`;
}

function LastRun({ run, labels, attributes }) {
  const { kind } = look(run.status, run.liveness);
  const retries = run.retries > 0 ? plural(run.retries, "retry", "retries") : "";
  const where = run.stepKey === null ? retries : (labels.get(run.stepKey) ?? run.stepKey);
  return html`<tr role="row" class="last-run" data-testid="run-row" data-run=${run.runId} data-kind=${kind} ...${attributes}>
    <td role="cell"><${Status} key=${kind} status=${run.status} liveness=${run.liveness} /></td>
    <td role="cell" class="last-run-id">
      <${Link} href=${runPath(run.runId, run.flowKey)} class="mono ellipsis last-run-link" data-row-link title=${run.runId}>${run.runId}<//>
    </td>
    <td role="cell" class="last-run-where muted"><span class="ellipsis" title=${run.message ?? undefined}>${where}</span></td>
    <td role="cell" class="number"><${RunDuration} run=${run} /></td>
    <td role="cell" class="number muted last-run-when">
      <time datetime=${run.activeAt} title=${dateTime(run.activeAt)}>${ago(run.activeAt, serverNow())}</time>
    </td>
  </tr>`;
}
