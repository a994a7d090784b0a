// What the page shows before anything has arrived: what it waits for, a snippet to copy, and the sample.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { send } from "../lib/api.js";
import { ImportButton } from "../components/actions/import.js";
import { Copy } from "../components/parts.js";

const KEY = "fp_project_local";

// Lines of [kind, text] pairs: what is shown in colour is also, joined, what is copied.
const SNIPPETS = {
  python: {
    tab: "A first run",
    hint: "Run this beside the receiver, in an environment that has failpath-otel.",
    lines: (url) => [
      [["word", "import"], ["", " failpath_otel"]],
      [],
      [["", "failpath = failpath_otel.configure("]],
      [["", "    project_key="], ["text", `"${KEY}"`], ["", ","]],
      [["", "    endpoint="], ["text", `"${url}"`], ["", ","]],
      [["", ")"]],
      [["", "run = failpath.run("], ["text", '"hello-failpath"'], ["", ")"]],
      [["", "run.step("], ["text", '"first-step"'], ["", ", "], ["word", "lambda"], ["", ": "], ["word", "None"],
        ["", ")"]],
    ],
  },
  environment: {
    tab: "An existing program",
    hint: "Where configure() is called already, two variables send its runs here. No code changes.",
    lines: (url) => [
      [["word", "export"], ["", " FAILPATH_PROJECT_KEY="], ["text", KEY]],
      [["word", "export"], ["", " FAILPATH_DEV_ENDPOINT="], ["text", url]],
      [["", "python your_program.py"]],
    ],
  },
};

function Snippet({ url }) {
  const [chosen, choose] = useState("python");
  const code = useRef(null);
  const names = Object.keys(SNIPPETS);
  const { lines, hint } = SNIPPETS[chosen];
  const shown = lines(url);
  const text = `${shown.map((line) => line.map(([, part]) => part).join("")).join("\n")}\n`;
  const inColour = shown.map((line, index) => [
    line.map(([kind, part]) => (kind ? html`<span class=${`code-${kind}`}>${part}</span>` : part)),
    index < shown.length - 1 ? "\n" : "",
  ]);
  const turn = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = names[(names.indexOf(chosen) + step + names.length) % names.length];
    choose(next);
    document.getElementById(`snippet-tab-${next}`)?.focus();
  };
  return html`<div class="snippet card">
    <div class="snippet-head">
      <div role="tablist" aria-label="How to send a run" class="tabs" onKeyDown=${turn}>
        ${names.map((name) => html`<button type="button" role="tab" class="tab" key=${name} id=${`snippet-tab-${name}`}
          aria-selected=${name === chosen ? "true" : "false"} aria-controls="snippet-panel"
          tabindex=${name === chosen ? 0 : -1} onClick=${() => choose(name)}>${SNIPPETS[name].tab}</button>`)}
      </div>
      <${Copy} text=${text} from=${code} data-testid="copy-snippet" />
    </div>
    <div role="tabpanel" id="snippet-panel" aria-labelledby=${`snippet-tab-${chosen}`}>
      <pre class="code" tabindex="0"><code ref=${code} data-testid="snippet">${inColour}</code></pre>
      <p class="snippet-hint muted">${hint}</p>
    </div>
  </div>`;
}

function Waiting() {
  return html`<svg class="waiting" viewBox="0 0 208 56" width="208" height="56" aria-hidden="true">
    <path class="waiting-line" d="M24 28h48c24 0 20-16 44-16h20M72 28c24 0 20 16 44 16h20" />
    <path class="waiting-line" d="M136 12c24 0 20 16 48 16M136 44c24 0 20-16 48-16" />
    <path class="waiting-pulse" d="M24 28h48c24 0 20-16 44-16h20c24 0 20 16 48 16" pathLength="100" />
    ${[[24, 28], [72, 28], [126, 12], [126, 44], [184, 28]].map(([x, y], index) =>
      html`<circle cx=${x} cy=${y} r="7" class=${`waiting-node waiting-node-${index}`} />`)}
  </svg>`;
}

export function Empty({ url, onSample }) {
  const [state, setState] = useState({ busy: false, error: null });
  useEffect(() => {
    document.title = "Waiting for the first run · Failpath";
  }, []);
  const load = async () => {
    setState({ busy: true, error: null });
    try {
      await send("POST", "sample");
      onSample();
    } catch (error) {
      setState({ busy: false, error });
    }
  };
  return html`<div class="empty" data-testid="empty">
    <${Waiting} />
    <h1>Waiting for the first run</h1>
    <p class="muted">
      Listening at <span class="mono empty-url">${url}</span>. A step shows up here the moment it starts.
    </p>
    <${Snippet} url=${url} />
    <div class="empty-sample">
      <p class="muted">Nothing to run yet? Two made-up flows show what it looks like.</p>
      <button type="button" class="button needs-writes" data-testid="load-sample" disabled=${state.busy} onClick=${load}>
        ${state.busy ? "Loading…" : "Load the sample"}
      </button>
      <${ImportButton} />
    </div>
    ${state.error && html`<p role="alert" class="kind-error">
      The sample could not be loaded: ${state.error.message}.
    </p>`}
  </div>`;
}
