// Small parts that views share: failures in place, the copy button, growing durations, loading rows.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { duration, elapsed, NONE } from "../lib/format.js";
import { useConnection, useNow } from "../lib/stream.js";

const COPIED_MS = 2000;

// Says what could not be loaded where it would stand, and tries again by itself when the connection is back.
export function Failure({ what, error, retry }) {
  const connection = useConnection();
  const before = useRef(connection);
  useEffect(() => {
    if (connection === "connected" && before.current !== "connected") retry();
    before.current = connection;
  }, [connection]);
  return html`<div class="failure" role="alert">
    <span>${what} could not be loaded: ${error.message}.</span>
    <button type="button" class="button" onClick=${retry}>Try again</button>
  </div>`;
}

export function Loading({ what }) {
  return html`<div class="loading card" role="status">
    <span class="visually-hidden">Loading ${what}</span>
    ${[0, 1, 2, 3].map(() =>
      html`<div class="loading-row" aria-hidden="true"><span></span><span></span><span></span></div>`)}
  </div>`;
}

function selectText(element) {
  const range = document.createRange();
  range.selectNodeContents(element);
  const selection = window.getSelection();
  selection.removeAllRanges();
  selection.addRange(range);
}

// Copies `text`; where the browser does not let it, selects `from` so that the user can.
export function Copy({ text, from, label = "Copy", ...rest }) {
  const [said, setSaid] = useState(null);
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    let outcome = "Copied";
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      outcome = "Selected";
      if (from?.current) selectText(from.current);
    }
    setSaid(outcome);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setSaid(null), COPIED_MS);
  };
  return html`<button type="button" class="button" onClick=${copy} ...${rest}>
    <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line-icon">
      ${said === null ? html`<rect x="5.5" y="5.5" width="8" height="8" rx="1.5" /><path d="M10.5 3v-.5h-8v8H3" />`
        : html`<path d="m3 8.5 3.2 3.2L13 4.5" />`}
    </svg>
    <span aria-live="polite">${said ?? label}</span>
  </button>`;
}

// How long a run took, or has taken so far; for a process that is gone it is unknown. `still` holds the clock.
export function RunDuration({ run, still = null }) {
  if (run.status !== "running") return duration(run.durationMs);
  if (run.liveness === "gone" || run.imported || !run.startedAt) return NONE;
  return html`<${Growing} since=${run.startedAt} still=${still} />`;
}

function Growing({ since, still }) {
  const now = useNow(still === null ? 200 : 0);
  return html`<span class="growing">${elapsed((still ?? now) - Date.parse(since))}</span>`;
}
