// A modal dialog: it keeps the focus inside, Esc and a click beside it close it, and the focus goes back.
import { html, useLayoutEffect, useRef } from "../../lib/html.js";

export function Dialog({ open, title, name, onClose, children }) {
  const dialog = useRef(null);
  useLayoutEffect(() => {
    if (open && !dialog.current.open) dialog.current.showModal();
    if (!open && dialog.current.open) dialog.current.close();
  }, [open]);
  const outside = (event) => event.target === dialog.current && onClose();
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  const id = `dialog-${name}`;
  return html`<dialog ref=${dialog} class="question" data-testid=${name} aria-labelledby=${id} onCancel=${cancel} onClick=${outside}>
    ${open && html`<div class="question-body">
      <h2 id=${id}>${title}</h2>
      ${children}
    </div>`}
  </dialog>`;
}
