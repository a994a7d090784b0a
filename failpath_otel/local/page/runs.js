// The view of all runs.
import { html } from "./vendor/preact-htm.js";
export function RunsView() { return html`<h1>Runs</h1>`; }
