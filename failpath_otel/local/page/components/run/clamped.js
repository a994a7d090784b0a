// A text that may be very long: its beginning, and all of it when it is asked for.
import { html, useState } from "../../lib/html.js";
import { count } from "../../lib/format.js";

const CHARACTERS = 600;
const LINES = 10;

// The beginning of a text: so many characters and lines.
export function beginning(text, characters = CHARACTERS, lines = LINES) {
  const some = text.split("\n", lines).join("\n").slice(0, characters);
  // Half of a pair would be shown as no character.
  return /[\ud800-\udbff]$/.test(some) ? some.slice(0, -1) : some;
}

export function Clamped({ text, className }) {
  const [all, setAll] = useState(false);
  const some = beginning(text);
  const cut = some.length < text.length;
  return html`
    <p class=${className}>${all || !cut ? text : `${some.trimEnd()}…`}</p>
    ${cut && html`<button type="button" class="button button-small" data-testid="show-all" aria-expanded=${all ? "true" : "false"}
      onClick=${() => setAll(!all)}>
      ${all ? "Show less" : `Show all ${count(text.length)} characters`}
    </button>`}
  `;
}
