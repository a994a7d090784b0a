// Which run the comparison is with: the last good one, the ones before and after, or any other of the flow.
import { html, useEffect, useState } from "../../lib/html.js";
import { useResource } from "../../lib/api.js";
import { ago } from "../../lib/format.js";
import { search, setQuery } from "../../lib/router.js";
import { look } from "../../lib/status.js";
import { serverNow } from "../../lib/stream.js";

const OFFERED = 20;
const TYPING_MS = 200;

export function Chooser({ data, asked }) {
  const { own, other, lastGood, previous, next } = data;
  const chosen = other?.runId ?? asked;
  const choice = (name, runId) => html`<button type="button" class="button button-small" data-testid=${`compare-${name}`} disabled=${runId === null}
    aria-pressed=${runId !== null && runId === chosen ? "true" : "false"} title=${runId ?? undefined}
    onClick=${() => setQuery({ with: runId })}>${{ good: "Last good", previous: "Previous", next: "Next" }[name]}</button>`;
  return html`<div class="compare-chooser" role="group" aria-label="Compare with">
    <span class="muted" aria-hidden="true">with</span>
    ${choice("good", lastGood)}${choice("previous", previous)}${choice("next", next)}
    <${Any} flowKey=${own.flowKey} own=${own.runId} chosen=${chosen} />
  </div>`;
}

// A field that offers runs of the flow whose id, steps, errors or metadata have what is typed.
function Any({ flowKey, own, chosen }) {
  const [typed, setTyped] = useState(chosen ?? "");
  const [sought, setSought] = useState("");
  const { data } = useResource(`runs${search({ flow: flowKey, text: sought, limit: OFFERED })}`, { key: `runs of ${flowKey}` });
  useEffect(() => setTyped(chosen ?? ""), [chosen]);
  useEffect(() => {
    const timer = setTimeout(() => setSought(typed === chosen ? "" : typed), TYPING_MS);
    return () => clearTimeout(timer);
  }, [typed, chosen]);
  const offered = (data?.runs ?? []).filter(({ runId }) => runId !== own);
  const choose = (event) => {
    event.preventDefault();
    if (typed) setQuery({ with: typed });
  };
  const key = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault(); // Or the page would take it, too.
    event.currentTarget.blur();
  };
  const type = ({ currentTarget, inputType }) => {
    setTyped(currentTarget.value);
    // Taken from the list, and not typed.
    if (inputType === "insertReplacementText" || inputType === undefined) setQuery({ with: currentTarget.value });
  };
  return html`<form class="compare-any" onSubmit=${choose}>
    <label class="visually-hidden" for="compare-with">Another run</label>
    <input id="compare-with" class="field mono" data-testid="compare-with" list="compare-runs" autocomplete="off" spellcheck=${false}
      placeholder="Another run" value=${typed} onInput=${type} onKeyDown=${key} />
    <datalist id="compare-runs">
      ${offered.map((run) => html`<option key=${run.runId} value=${run.runId}>${look(run.status, run.liveness).word}, ${ago(run.startedAt, serverNow())}</option>`)}
    </datalist>
    <button type="submit" class="button button-small">Compare</button>
  </form>`;
}
