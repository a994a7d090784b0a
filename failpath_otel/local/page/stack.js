// A stack: the application's frames stand out, runs of library frames are folded, or all of it as it was.
import { html, useState } from "./vendor/preact-htm.js";
import { plural } from "./format.js";

// Neighbouring library frames as one group; [{application, frames}].
export function groups(frames) {
  const found = [];
  for (const frame of frames) {
    const last = found.at(-1);
    if (last && last.application === frame.application) last.frames.push(frame);
    else found.push({ application: frame.application, frames: [frame] });
  }
  return found;
}

export function Stack({ error }) {
  const [whole, setWhole] = useState(false);
  if (!error.stack) return null;
  const frames = error.frames ?? [];
  const foldable = frames.some((frame) => frame.application) && frames.some((frame) => !frame.application);
  return html`<div class="panel-part">
    <div class="part-head">
      <h3>Stack</h3>
      ${foldable &&
      html`<button type="button" class="button button-small" aria-pressed=${whole ? "true" : "false"} onClick=${() => setWhole(!whole)}>
        Whole stack
      </button>`}
    </div>
    <div class="stack" data-testid="stack" role="region" aria-label="Stack" tabindex="0">
      ${whole || !foldable ? html`<${Whole} error=${error} frames=${frames} />` : html`<${Application} frames=${frames} />`}
    </div>
  </div>`;
}

function Frame({ frame }) {
  return html`<pre class=${`frame${frame.application ? " frame-application" : ""}`} data-testid="frame"
    data-application=${frame.application ? "true" : "false"}>${frame.text}</pre>`;
}

// As it was: all frames in the order of the stack, or its text where no frames were found in it.
function Whole({ error, frames }) {
  if (frames.length === 0) return html`<pre class="frame">${error.stack}</pre>`;
  return frames.map((frame, index) => html`<${Frame} key=${index} frame=${frame} />`);
}

// First the application's own frames, in the order of the stack; the libraries' below, folded.
function Application({ frames }) {
  const own = frames.filter((frame) => frame.application);
  const rest = frames.filter((frame) => !frame.application);
  return html`
    ${own.map((frame, index) => html`<${Frame} key=${`own-${index}`} frame=${frame} />`)}
    <details class="frames-folded">
      <summary>${plural(rest.length, "more line")} of libraries</summary>
      ${rest.map((frame, index) => html`<${Frame} key=${`rest-${index}`} frame=${frame} />`)}
    </details>
  `;
}
