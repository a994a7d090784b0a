// The view of all flows.
import { html } from "./vendor/preact-htm.js";
export function FlowsView() { return html`<h1>Flows</h1>`; }
