// Deleting a run, a flow or all runs, after a question that names what and how many.
import { html, useState } from "../../lib/html.js";
import { get, send } from "../../lib/api.js";
import { plural } from "../../lib/format.js";
import { navigate, search } from "../../lib/router.js";
import { Dialog } from "./dialog.js";

// Without a flow all runs are meant, without a run all of the flow.
export function DeleteButton({ flowKey = null, runId = null, pinned = false }) {
  const [state, setState] = useState({ open: false, count: null, busy: false, error: null });
  const ask = async () => {
    setState({ open: true, count: runId === null ? null : { runs: 1, pinned: pinned ? 1 : 0 }, busy: false, error: null });
    if (runId !== null) return;
    try {
      const count = await get(`count${search({ flow: flowKey })}`);
      setState((before) => ({ ...before, count }));
    } catch (error) {
      setState((before) => ({ ...before, error }));
    }
  };
  const close = () => !state.busy && setState((before) => ({ ...before, open: false }));
  const remove = async () => {
    setState((before) => ({ ...before, busy: true, error: null }));
    try {
      await send("DELETE", pathOf(flowKey, runId));
      navigate(runId === null || flowKey === null ? "/" : `/runs${search({ flow: flowKey })}`);
      setState((before) => ({ ...before, open: false, busy: false }));
    } catch (error) {
      setState((before) => ({ ...before, busy: false, error }));
    }
  };
  return html`
    <button type="button" class="button button-small needs-writes" data-testid="delete" onClick=${ask}>Delete…</button>
    <${Dialog} open=${state.open} name="delete-question" title=${title(flowKey, runId)} onClose=${close}>
      <p><${What} flowKey=${flowKey} runId=${runId} count=${state.count} /></p>
      <p class="muted">This cannot be undone. What arrives later of a deleted run begins it anew.</p>
      ${state.error && html`<p role="alert" class="kind-error">Not deleted: ${state.error.message}.</p>`}
      <div class="question-actions">
        <button type="button" class="button" onClick=${close} autofocus disabled=${state.busy}>Cancel</button>
        <button type="button" class="button button-danger" data-testid="delete-yes" onClick=${remove}
          disabled=${state.busy || state.count === null || state.count.runs === 0}>${state.busy ? "Deleting…" : "Delete"}</button>
      </div>
    <//>
  `;
}

function title(flowKey, runId) {
  if (runId !== null) return "Delete this run?";
  return flowKey === null ? "Delete all runs?" : "Delete this flow?";
}

function What({ flowKey, runId, count }) {
  if (runId !== null) {
    const kept = count?.pinned ? ", which is pinned," : "";
    return html`The run <span class="mono">${runId}</span> of <span class="mono">${flowKey}</span>${kept} is deleted with its events.`;
  }
  const number = count === null ? "…" : plural(count.runs, "run");
  const pinned = count?.pinned > 0 ? ` (${plural(count.pinned, "pinned one", "pinned ones")} among them)` : "";
  const verb = count?.runs === 1 ? "is" : "are";
  if (flowKey === null) return html`<strong>${number}</strong> of all flows${pinned} ${verb} deleted.`;
  return html`<strong>${number}</strong> of <span class="mono">${flowKey}</span>${pinned} ${verb} deleted.`;
}

function pathOf(flowKey, runId) {
  if (runId !== null) return `run/${encodeURIComponent(runId)}${search({ flow: flowKey })}`;
  return flowKey === null ? "runs" : `flow/${encodeURIComponent(flowKey)}`;
}
