// A button that copies a text and says so.
import { html, useEffect, useRef, useState } from "../lib/html.js";

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copiedBySelection(text); // Where the page is not served from a secure origin there is no clipboard.
  }
}

function copiedBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "visually-hidden";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

async function ready(text) {
  try {
    return await copied(await text());
  } catch {
    return false; // It could not be had.
  }
}

// `text` is called when the button is pressed; it may return a promise.
export function CopyButton({ text, children, label, className = "button", ...rest }) {
  const [said, setSaid] = useState("");
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    setSaid((await ready(text)) ? "Copied" : "Not copied");
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setSaid(""), 1600);
  };
  return html`<button type="button" class=${className} onClick=${copy} aria-label=${label} title=${label} ...${rest}>
    ${children}<span class="copied" role="status">${said}</span>
  </button>`;
}
