// Errors by their cause: how often, since when, and a way to all the runs that had them.
import { html, useState } from "../../lib/html.js";
import { useResource } from "../../lib/api.js";
import { ago, count, dateTime, plural, rate } from "../../lib/format.js";
import { asked } from "../../lib/range.js";
import { Link, search } from "../../lib/router.js";
import { serverNow, useNow, useStream } from "../../lib/stream.js";
import { useHeld, useHeldRows, useHolding } from "../held.js";

const SHOWN = 5;
const SHOWN_OF_ALL = 3;
const RELOAD_MS = 2000;

export const errorPath = (fingerprint) => `/runs${search({ error: fingerprint })}`;

const nameOf = (error) => error.name || "Error without a name";

// `errors` is the answer of the receiver; of chosen `steps` (a set of keys), only their own are shown.
export function ErrorList({ errors, labels, steps = null, of = null }) {
  const [all, setAll] = useState(false);
  const [held, holding] = useHolding();
  useNow(1000);
  const known = useHeldRows(errors.errors, ({ fingerprint }) => fingerprint, held);
  const found = steps === null ? known : known.filter((error) => steps.has(error.stepKey));
  const shown = all ? found : found.slice(0, SHOWN);
  const unknown = errors.kinds - errors.errors.length;
  return html`<section class="card" aria-labelledby="errors-title" data-testid="errors" ...${holding}>
    <div class="card-head"><h2 id="errors-title">Top errors</h2>${of !== null && html`<span class="muted">of ${of}</span>`}</div>
    ${found.length === 0 && html`<p class="card-note muted">Nothing has failed.</p>`}
    <ul class="error-list">
      ${shown.map((error) => html`<${FlowError} key=${error.fingerprint} error=${error} answer=${errors}
        label=${labels.get(error.stepKey) ?? error.stepKey} />`)}
    </ul>
    ${found.length > SHOWN && html`<p class="error-more">
      <button type="button" class="button button-quiet" aria-expanded=${all ? "true" : "false"} onClick=${() => setAll(!all)}>
        ${all ? "Fewer" : `${count(found.length - SHOWN)} more`}
      </button>
    </p>`}
    ${(all || found.length <= SHOWN) && unknown > 0 && html`<p class="card-note muted">
      ${plural(unknown, "rarer error")} ${unknown === 1 ? "is" : "are"} not listed.
    </p>`}
  </section>`;
}

function FlowError({ error, answer, label }) {
  return html`<li>
    <${Link} class=${`top-error${error.count > 0 ? "" : " error-recovered"}`} data-testid="top-error" data-error=${error.fingerprint} href=${errorPath(error.fingerprint)}
      title=${error.shape}>
      <${Times} error=${error} />
      <span class="top-error-text">
        <span class="top-error-name">${nameOf(error)} <${New} error=${error} /></span>
        <span class="top-error-message">${error.message}</span>
        <span class="top-error-where muted">in ${label}${details(error)}</span>
        <span class="top-error-where muted"><${Seen} error=${error} /></span>
      </span>
      <${Spark} error=${error} answer=${answer} />
    <//>
    <${Whom} error=${error} />
  </li>`;
}

// What nearly all of its runs have in common: to those that have it.
function Whom({ error }) {
  if (error.common === null) return null;
  const { key, value, failed, of } = error.common;
  const pair = `${key}=${value}`;
  return html`<p class="error-whom muted" data-testid="error-whom">
    ${failed < of ? `${count(failed)} of` : "all"}${of < error.total ? " the newest" : ""} ${count(of)} with${" "}
    <${Link} class="change-whom mono" href=${`/runs${search({ error: error.fingerprint, meta: pair })}`}>${pair}<//>
  </p>`;
}

// Runs that ended a step with it; where there is none, those in which it was made good.
function Times({ error }) {
  const number = error.count > 0 ? error.count : error.recovered;
  return html`<span class="top-error-count">
    <span data-metric="count">${count(number)}</span><span aria-hidden="true">×</span><span class="visually-hidden"> runs: </span>
  </span>`;
}

function details({ count: failed, share, recovered, total }) {
  const said = [];
  if (failed > 0 && share !== null) said.push(`${rate(share)} of the runs`);
  if (recovered > 0) said.push(failed > 0 ? `${count(recovered)} more made good by a retry` : "each made good by a retry");
  if (total > failed + recovered) said.push(`${count(total)} runs in all`);
  return said.map((part) => `, ${part}`).join("");
}

function Seen({ error }) {
  const at = (text) => html`<time datetime=${text} title=${dateTime(text)}>${ago(text, serverNow())}</time>`;
  if (error.firstSeen === error.lastSeen) return html`seen ${at(error.lastSeen)}`;
  return html`first ${at(error.firstSeen)}, last ${at(error.lastSeen)}`;
}

// The first time only where it says more than the last one.
function SeenShort({ error }) {
  const [last, first] = [ago(error.lastSeen, serverNow()), ago(error.firstSeen, serverNow())];
  if (first === last) return html`<span title=${dateTime(error.lastSeen)}>${last}</span>`;
  return html`<span title=${dateTime(error.lastSeen)}>last ${last}</span><span title=${dateTime(error.firstSeen)}>first ${first}</span>`;
}

function New({ error }) {
  if (!error.isNew) return null;
  return html`<span class="badge error-new" data-testid="new-error" title="First seen in the last 24 hours">new since yesterday</span>`;
}

// When it happened: a bar for each part of the time that all errors beside it share.
function Spark({ error, answer }) {
  const { buckets } = error;
  const most = Math.max(...buckets, 1);
  const [since, until] = [Date.parse(answer.since), Date.parse(answer.until)];
  const at = (place) => dateTime(new Date(since + ((until - since) * place) / buckets.length).toISOString()).slice(0, 16);
  const peak = buckets.indexOf(most);
  const said = peak < 0 ? "Not in this time" : `Most often, ${plural(most, "run")}, from ${at(peak)} to ${at(peak + 1)}`;
  return html`<svg class="spark" role="img" aria-label=${said} data-testid="spark" data-buckets=${buckets.join(" ")}
    viewBox=${`0 0 ${buckets.length * 4} 24`} preserveAspectRatio="none">
    <title>${said}</title>
    <path class="spark-ground" d=${`M0 23.5h${buckets.length * 4}`} />
    ${buckets.map((number, place) => {
      const height = number === 0 ? 0 : 3 + (20 * number) / most;
      return html`<rect key=${place} class="spark-bar" x=${place * 4} y=${23 - height} width="3" height=${height} />`;
    })}
  </svg>`;
}

// What the receiver knows of the most frequent errors of all flows; it is there as soon as `settled`.
export function useTopErrors(range) {
  const path = `errors${search({ ...asked(range), limit: SHOWN_OF_ALL })}`;
  const { data, error, reload, reloadSoon } = useResource(path, { key: "errors", every: RELOAD_MS });
  useStream(({ revision }) => {
    if (!data || revision > data.revision) reloadSoon();
  }, reload);
  return { data, settled: data !== null || error !== null };
}

// The most frequent errors of all flows; nothing where nothing has failed. `still` holds what is shown.
export function TopErrors({ data, still }) {
  const [held, holding] = useHolding();
  useNow(1000);
  const answer = useHeld(data, held || still);
  const shown = (answer?.errors ?? []).filter((error) => error.count > 0);
  if (shown.length === 0) return null;
  return html`<section class="card failing" aria-labelledby="failing-title" data-testid="failing" ...${holding}>
    <div class="card-head"><h2 id="failing-title">What fails most</h2>
      ${answer.counted >= answer.window && html`<span class="muted">of the newest ${count(answer.window)} failures</span>`}</div>
    <ul class="failing-list">
      ${shown.map((error) => html`<li key=${error.fingerprint}>
        <${Link} class="failing-error" data-testid="failing-error" data-error=${error.fingerprint}
          href=${errorPath(error.fingerprint)} title=${error.message}>
          <${Times} error=${error} />
          <span class="failing-text">
            <strong>${nameOf(error)}</strong> ${error.shape}
          </span>
          <span class="failing-where muted">
            <${New} error=${error} />
            <span class="mono ellipsis">${error.flowKey} / ${error.stepKey}</span>
          </span>
          <${Spark} error=${error} answer=${answer} />
          <span class="failing-seen muted number"><${SeenShort} error=${error} /></span>
        <//>
        <${Whom} error=${error} />
      </li>`)}
    </ul>
  </section>`;
}

// The filter of a list of runs by an error: `kind` is what the receiver knows of it, null where no run has it.
export function ErrorChip({ fingerprint, kind, onRemove }) {
  if (!fingerprint) return null;
  const known = kind?.fingerprint === fingerprint ? kind : null;
  return html`<p class="error-chip" data-testid="error-chip">
    <span class="error-chip-text">
      ${known === null
        ? html`Error <span class="mono">${fingerprint}</span>`
        : html`<strong>${nameOf(known)}</strong> ${known.shape}
            <span class="muted"> in <span class="mono">${known.flowKey} / ${known.stepKey}</span></span>`}
    </span>
    <button type="button" class="button button-quiet button-small" data-testid="remove-error" onClick=${onRemove}
      aria-label="Show runs with any error" title="Show runs with any error">
      <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true" class="line-icon"><path d="m4 4 8 8m0-8-8 8" /></svg>
    </button>
  </p>`;
}
