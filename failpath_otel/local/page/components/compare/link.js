// The way from a run to its comparison with another one: a button, and the key c.
import { html } from "../../lib/html.js";
import { useKeys } from "../../lib/keyboard.js";
import { Link, navigate, search } from "../../lib/router.js";

export const comparePath = (runId, flowKey, extra = {}) => `/compare/${encodeURIComponent(runId)}${search({ flow: flowKey, ...extra })}`;

export function CompareLink({ run }) {
  const path = comparePath(run.runId, run.flowKey);
  useKeys({ c: () => navigate(path) });
  return html`<${Link} class="button button-small" data-testid="compare" href=${path} title="Compare with the last good run (c)">
    Compare <kbd aria-hidden="true">c</kbd>
  <//>`;
}
