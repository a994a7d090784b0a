// What can be done with a run: it is pinned against pruning, handed on as a file, deleted; and where it came from.
import { html, useState } from "../../lib/html.js";
import { send } from "../../lib/api.js";
import { ago, dateTime } from "../../lib/format.js";
import { search } from "../../lib/router.js";
import { serverNow } from "../../lib/stream.js";
import { DeleteButton } from "./delete.js";
import { Dialog } from "./dialog.js";

const PARTS = [
  ["metadata", "Metadata", "what the program has put there"],
  ["errors", "Messages and stacks of errors", "the names of errors stay"],
  ["process", "Processes", "host names and process ids"],
  ["logs", "Logs", "of its steps"],
];

export function RunActions({ row }) {
  return html`
    <${PinButton} row=${row} />
    <${ExportButton} row=${row} />
    <${DeleteButton} flowKey=${row.flowKey} runId=${row.runId} pinned=${row.pinned} />
  `;
}

export function PinMark() {
  return html`<span class="pin-mark" title="Pinned: it is not pruned"><${PinIcon} /><span class="visually-hidden">pinned</span></span>`;
}

function PinIcon() {
  return html`<svg viewBox="0 0 16 16" width="13" height="13" aria-hidden="true" class="line-icon">
    <path d="M5.500 2.500h5M6.500 2.500v4.200L4.500 9.500h7L9.500 6.700V2.500M8 9.500v4" />
  </svg>`;
}

function PinButton({ row }) {
  const [state, setState] = useState({ of: null, wanted: null, error: null });
  // What was asked for stands until the row says it too.
  const key = `${row.flowKey}\n${row.runId}`;
  const pinned = state.of === key && state.wanted !== null ? state.wanted : row.pinned;
  const turn = async () => {
    const wanted = !pinned;
    setState({ of: key, wanted, error: null });
    try {
      const answer = await send(wanted ? "PUT" : "DELETE", `pin/${encodeURIComponent(row.runId)}${search({ flow: row.flowKey })}`);
      setState({ of: key, wanted: answer.pinned, error: null });
    } catch (error) {
      setState({ of: key, wanted: null, error });
    }
  };
  return html`<button type="button" class="button button-small needs-writes" data-testid="pin" aria-pressed=${pinned ? "true" : "false"}
      title=${pinned ? "It is not pruned; let it be pruned again" : "Keep it when old runs are pruned"} onClick=${turn}>
      <${PinIcon} />${pinned ? "Pinned" : "Pin"}
    </button>
    ${state.error && html`<span role="alert" class="kind-error">${state.error.message}</span>`}`;
}

function ExportButton({ row }) {
  const [open, setOpen] = useState(false);
  const [without, setWithout] = useState([]);
  const close = () => setOpen(false);
  const turn = (part) => setWithout((before) => (before.includes(part) ? before.filter((each) => each !== part) : [...before, part]));
  const href = `/api/export/${encodeURIComponent(row.runId)}${search({ flow: row.flowKey, without })}`;
  return html`
    <button type="button" class="button button-small" data-testid="export" onClick=${() => setOpen(true)}>Export…</button>
    <${Dialog} open=${open} name="export-question" title="Export this run" onClose=${close}>
      <p>A file that another receiver shows as it is here, for a bug report. What looks like a secret is redacted, and the
        names of home directories are left out. The keys of the flow, the run and its steps are in it, and:</p>
      <fieldset class="question-choices">
        <legend class="visually-hidden">What is in the file</legend>
        ${PARTS.map(([part, name, what]) => html`<label key=${part}>
          <input type="checkbox" data-testid=${`export-${part}`} checked=${!without.includes(part)} onChange=${() => turn(part)} />
          <span>${name} <span class="muted">${what}</span></span>
        </label>`)}
      </fieldset>
      <div class="question-actions">
        <button type="button" class="button" onClick=${close} autofocus>Cancel</button>
        <a class="button button-primary" data-testid="export-yes" href=${href} download onClick=${close}>Download</a>
      </div>
    <//>
  `;
}

// That a run came as a file, and how far it is to be trusted to say how it stands.
export function ImportNote({ imported }) {
  if (!imported) return null;
  const when = (text) => html`<time datetime=${text} title=${dateTime(text)}>${ago(text, serverNow())}</time>`;
  return html`<p class="import-note" data-testid="import-note">
    <strong>Imported</strong> from a file ${when(imported.at)}.
    ${imported.mixed
      ? html`${" "}Events of a program with the same run have arrived since: what is shown is both.`
      : html`${" "}It stands as it did there, where its last event was received ${when(imported.asOf)}.`}
  </p>`;
}
