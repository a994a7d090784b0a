// Files with runs: dropped anywhere on the page, or chosen by a button.
import { html, useEffect, useRef, useState } from "../../lib/html.js";
import { send } from "../../lib/api.js";
import { Link, navigate, runPath } from "../../lib/router.js";

const MOST = 100; // Files of one drop.
const listeners = new Set();
let busy = false;

const isReadOnly = () => document.documentElement.dataset.readOnly === "true";

function say(state) {
  for (const listener of listeners) listener(state);
}

async function take(files) {
  if (busy || files.length === 0) return;
  busy = true;
  const results = [];
  say({ busy: true, results });
  for (const file of files.slice(0, MOST)) {
    try {
      results.push({ name: file.name, ...(await send("POST", "/api/import", file)) });
    } catch (error) {
      results.push({ name: file.name, error: error.message });
    }
  }
  if (files.length > MOST) results.push({ name: `${files.length - MOST} more`, error: `only ${MOST} files are read at once` });
  busy = false;
  const [first] = results;
  const failed = results.some(({ error }) => error);
  if (results.length === 1 && !failed) navigate(runPath(first.runId, first.flowKey));
  say({ busy: false, results: results.length === 1 && !failed && first.new ? [] : results });
}

export function ImportButton() {
  const field = useRef(null);
  const chosen = (event) => {
    take([...event.currentTarget.files]);
    event.currentTarget.value = ""; // So that the same file can be chosen again.
  };
  return html`<span class="needs-writes">
    <button type="button" class="button button-quiet" data-testid="import" onClick=${() => field.current.click()}>Import…</button>
    <input ref=${field} type="file" hidden multiple accept=".json,application/json" data-testid="import-file"
      aria-label="Files with runs" onChange=${chosen} />
  </span>`;
}

// The place for files while they are held over the page, and what became of them.
export function ImportZone() {
  const [held, setHeld] = useState(false);
  const [said, setSaid] = useState({ busy: false, results: [] });
  useEffect(() => {
    listeners.add(setSaid);
    const has = (event) => !isReadOnly() && [...(event.dataTransfer?.types ?? [])].includes("Files");
    const over = (event) => {
      if (!has(event)) return;
      event.preventDefault();
      setHeld(true);
    };
    // `dragleave` comes at each element; only one that leads to nothing leaves the window.
    const leave = (event) => event.relatedTarget === null && setHeld(false);
    const drop = (event) => {
      setHeld(false);
      if (!has(event)) return;
      event.preventDefault(); // Or the browser would open the file in place of the page.
      take([...event.dataTransfer.files]);
    };
    window.addEventListener("dragenter", over);
    window.addEventListener("dragover", over);
    window.addEventListener("dragleave", leave);
    window.addEventListener("drop", drop);
    return () => {
      listeners.delete(setSaid);
      window.removeEventListener("dragenter", over);
      window.removeEventListener("dragover", over);
      window.removeEventListener("dragleave", leave);
      window.removeEventListener("drop", drop);
    };
  }, []);
  return html`
    ${held && html`<div class="drop-zone" role="status" data-testid="drop-zone"><p>Drop files with runs to import them</p></div>`}
    <div class="import-results" role="status" aria-live="polite">
      ${said.busy && html`<p>Importing…</p>`}
      ${!said.busy && said.results.length > 0 && html`<div class="import-result" data-testid="import-result">
        <ul>${said.results.map((result, index) => html`<li key=${index}><${Result} result=${result} /></li>`)}</ul>
        <button type="button" class="button button-small" onClick=${() => setSaid({ busy: false, results: [] })}>Close</button>
      </div>`}
    </div>
  `;
}

function Result({ result }) {
  if (result.error) return html`<span class="kind-error">Not imported: <span class="mono">${result.name}</span>: ${result.error}.</span>`;
  const run = html`<${Link} class="mono" href=${runPath(result.runId, result.flowKey)}>${result.runId}<//>`;
  return result.new ? html`Imported ${run}` : html`${run} is here already, with the same events`;
}
