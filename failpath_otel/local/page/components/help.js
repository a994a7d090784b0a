// The dialog that lists the keys.
import { html, useLayoutEffect, useRef } from "../lib/html.js";

const SECTIONS = [
  ["Everywhere", [
    [["g", "f"], "Flows"],
    [["g", "r"], "Runs"],
    [["t"], "Time range"],
    [["Esc"], "Close, or back"],
    [["?"], "This help"],
  ]],
  ["A run", [
    [["j"], "Next step"],
    [["k"], "Previous step"],
    [["e"], "Next failed step"],
    [["←"], "Fold what is inside the step"],
    [["→"], "Unfold it"],
    [["Enter"], "To the step's panel"],
    [["/"], "Find a step of a long run"],
    [["c"], "Compare with the last good run"],
  ]],
  ["The grid of a flow", [
    [["←", "→"], "Older and newer runs"],
    [["↑", "↓"], "Steps"],
    [["Enter"], "Open the run at the step"],
  ]],
  ["A graph that has the focus", [
    [["+"], "Larger"],
    [["-"], "Smaller"],
    [["0"], "All that fits"],
    [["←", "→"], "Move it"],
  ]],
  ["Lists", [
    [["j"], "Next row"],
    [["k"], "Previous row"],
    [["Enter"], "Open the row"],
    [["e"], "Next failed run"],
    [["/"], "Filter"],
    [["p"], "Pause, resume"],
  ]],
];

function Section([title, keys]) {
  return html`<section>
    <h3>${title}</h3>
    <dl>
      ${keys.map(([names, meaning]) => html`<div>
        <dt>${names.map((name) => html`<kbd>${name}</kbd>`)}</dt>
        <dd>${meaning}</dd>
      </div>`)}
    </dl>
  </section>`;
}

export function Help({ open, onClose }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    // A modal dialog keeps the focus inside, and gives it back when it closes.
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  const outside = (event) => event.target === dialog.current && onClose();
  // Only the state opens and closes it, so that Esc and ? in quick succession are taken in their order.
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const closed = () => dialog.current.open || onClose();
  const again = (event) => event.key === "?" && onClose();
  return html`<dialog ref=${dialog} class="help" aria-labelledby="help-title" onClose=${closed} onCancel=${cancel}
    onClick=${outside} onKeyDown=${again}>
    <div class="help-body">
      <div class="help-head">
        <h2 id="help-title">Keys</h2>
        <button type="button" class="icon-button" onClick=${onClose} aria-label="Close" autofocus>
          <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="line-icon">
            <path d="m4 4 8 8m0-8-8 8" />
          </svg>
        </button>
      </div>
      ${SECTIONS.map((section) => Section(section))}
    </div>
  </dialog>`;
}
