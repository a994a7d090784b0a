// A stack: the application's frames stand out, runs of library frames are folded, or all of it as it was.
import { html, useState } from "../../lib/html.js";
import { plural } from "../../lib/format.js";

// What names a place in code. Other lines (headings, the message) are shown elsewhere, and stand in the whole stack.
const PLACE = /, line \d+|:\d+(?=[:)\s]|$)|\(\d+\): |^\s*at /m;

const isOwn = (frame) => frame.application && PLACE.test(frame.text);

export function Stack({ error }) {
  const [whole, setWhole] = useState(false);
  if (!error.stack) return html`<p class="no-stack muted">
    No stack was sent. <code>FAILPATH_CAPTURE_STACK=true</code>, or <code>capture_stack=True</code> in the program, sends it.
  </p>`;
  const frames = error.frames ?? [];
  const own = frames.filter(isOwn);
  const libraries = frames.filter((frame) => !frame.application);
  const foldable = own.length > 0 && own.length < frames.length;
  return html`<div class="panel-part">
    <div class="part-head">
      <h3>Stack</h3>
      ${foldable &&
      html`<button type="button" class="button button-small" aria-pressed=${whole ? "true" : "false"} onClick=${() => setWhole(!whole)}>
        Whole stack
      </button>`}
    </div>
    <div class="stack" data-testid="stack" role="region" aria-label="Stack" tabindex="0">
      ${whole || !foldable ? html`<${Whole} error=${error} frames=${frames} />` : html`<${Application} own=${own} libraries=${libraries} />`}
    </div>
  </div>`;
}

function Frame({ frame }) {
  return html`<pre class=${`frame${isOwn(frame) ? " frame-application" : ""}`} data-testid="frame"
    data-application=${frame.application ? "true" : "false"}>${frame.text}</pre>`;
}

// As it was: all frames in the order of the stack, or its text where no frames were found in it.
function Whole({ error, frames }) {
  if (frames.length === 0) return html`<pre class="frame">${error.stack}</pre>`;
  return frames.map((frame, index) => html`<${Frame} key=${index} frame=${frame} />`);
}

// First the application's own frames, in the order of the stack; the libraries' below, folded.
function Application({ own, libraries }) {
  return html`
    ${own.map((frame, index) => html`<${Frame} key=${`own-${index}`} frame=${frame} />`)}
    ${libraries.length > 0 &&
    html`<details class="frames-folded">
      <summary>${plural(libraries.length, "library frame")}</summary>
      ${libraries.map((frame, index) => html`<${Frame} key=${`library-${index}`} frame=${frame} />`)}
    </details>`}
  `;
}

// The application's own frames of an error, as lines.
export function ownFrames({ frames }) {
  return (frames ?? []).filter(isOwn).map(({ text }) => text);
}
