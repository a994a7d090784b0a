// The page: its frame, which view an address shows, and the keys that work everywhere.
import { html, render, useEffect, useErrorBoundary, useRef, useState } from "./lib/html.js";
import { forget, useResource } from "./lib/api.js";
import { showDirections } from "./lib/shell/bidi.js";
import { CompareView } from "./views/compare.js";
import { FlowView } from "./views/flow.js";
import { FlowsView } from "./views/flows.js";
import { Header } from "./components/header.js";
import { Help } from "./components/help.js";
import { ImportZone } from "./components/actions/import.js";
import { useKeys } from "./lib/keyboard.js";
import { Link, navigate, useLocation } from "./lib/router.js";
import { RunView } from "./views/run.js";
import { RunsView } from "./views/runs.js";
import { useStream } from "./lib/stream.js";

function viewOf(segments, server) {
  const [room, key, ...rest] = segments;
  if (room === undefined) return html`<${FlowsView} server=${server} />`;
  if (room === "flows" && key !== undefined && rest.length === 0) return html`<${FlowView} flowKey=${key} />`;
  if (room === "runs" && key === undefined) return html`<${RunsView} server=${server} />`;
  // An id that was typed with its slashes is meant as one.
  if (room === "runs") return html`<${RunView} runId=${[key, ...rest].join("/")} />`;
  if (room === "compare" && key !== undefined) return html`<${CompareView} runId=${[key, ...rest].join("/")} />`;
  return html`<${NotFound} />`;
}

function NotFound() {
  useEffect(() => {
    document.title = "Not found · Failpath";
  }, []);
  return html`<div class="notice">
    <h1>There is no such page</h1>
    <p><${Link} href="/">All flows<//> or <${Link} href="/runs">all runs<//></p>
  </div>`;
}

// A view that fails takes neither the header nor the other views with it.
function Contained({ path, children }) {
  const [error, dismiss] = useErrorBoundary((thrown) => console.error(thrown));
  useEffect(dismiss, [path]);
  if (!error) return children;
  return html`<div class="notice" role="alert">
    <h1>This view failed</h1>
    <p class="mono">${String(error)}</p>
    <p><button type="button" class="button" onClick=${dismiss}>Show it again</button></p>
  </div>`;
}

function App() {
  const { path, segments } = useLocation();
  const [helpOpen, setHelpOpen] = useState(false);
  const main = useRef(null);
  const status = useResource("status", { every: 2000 });
  useStream(status.reloadSoon, () => {
    forget();
    status.reload();
  });
  const readOnly = status.data?.readOnly ?? false;
  useEffect(() => {
    document.documentElement.dataset.readOnly = String(readOnly); // Styles hide what would change something.
  }, [readOnly]);
  useKeys({
    "?": () => setHelpOpen(true),
    "g f": () => navigate("/"),
    "g r": () => navigate("/runs"),
  });

  const shown = useRef(path);
  useEffect(() => {
    // As after a real load, the keyboard begins at the new view.
    if (shown.current !== path) main.current.focus({ preventScroll: true });
    shown.current = path;
  }, [path]);

  return html`
    <a class="skip-link" href="#main">Skip to the content</a>
    <${Header} room=${segments[0]} readOnly=${readOnly} onHelp=${() => setHelpOpen(true)} />
    <main id="main" tabindex="-1" ref=${main}>
      <${Contained} path=${path}>${viewOf(segments, status)}<//>
    </main>
    <${ImportZone} />
    <${Help} open=${helpOpen} onClose=${() => setHelpOpen(false)} />
  `;
}

showDirections();
render(html`<${App} />`, document.getElementById("app"));
