// What has changed in a flow, as sentences: how much fails or how long runs take, since when, in which step, for whom.
import { html } from "../../lib/html.js";
import { count, dateTime, duration } from "../../lib/format.js";
import { Link, search } from "../../lib/router.js";

const DAY_AND_TIME = { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
const TIME = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };

// The time, with its day where that is not today.
export function clock(text, now) {
  const at = new Date(text);
  const today = at.toDateString() === new Date(now).toDateString();
  return at.toLocaleString("en-GB", today ? TIME : DAY_AND_TIME);
}

export function percent(share) {
  const value = share * 100;
  return `${value >= 10 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} %`;
}

const WORDS = {
  failureRate: ({ value, before }) => [`${percent(value)} failed`, `before ${percent(before)}`],
  p95: ({ value, before }) => [`p95 ${duration(value)}`, `before ${duration(before)}`],
};

export function Changes({ changes, flowKey, now }) {
  if (changes.length === 0) return null;
  return html`<ul class="changes">
    ${changes.map((change) => html`<${Change} key=${change.kind} change=${change} flowKey=${flowKey} now=${now} />`)}
  </ul>`;
}

function Change({ change, flowKey, now }) {
  const [is, was] = WORDS[change.kind](change);
  return html`<li class=${`change ${change.worse ? "change-worse" : "change-better"}`} data-testid="change"
    data-kind=${change.kind} data-worse=${change.worse ? "true" : "false"} data-since=${change.since}
    title=${`${count(change.runs)} runs since, ${count(change.runsBefore)} before`}>
    <strong>${is} since <time datetime=${change.since} title=${dateTime(change.since)}>${clock(change.since, now)}</time></strong>,
    ${" "}${was}${change.stepKey !== null && html`, in <span class="mono">${change.stepKey}</span>`}${
      change.common !== null && html`, <${Whom} change=${change} flowKey=${flowKey} />`}
  </li>`;
}

// To the failures since then that have it in common.
function Whom({ change, flowKey }) {
  const { key, value, failed, of } = change.common;
  const pair = `${key}=${value}`;
  const href = `/runs${search({ flow: flowKey, status: "error", meta: pair, from: change.since })}`;
  return html`${failed === of ? "all" : `${count(failed)} of ${count(of)}`} with${" "}
    <${Link} href=${href} class="over change-whom mono" data-testid="whom">${pair}<//>`;
}
