// The attempts of a step, to choose from: of many the first, the newest and those that failed last, until all are asked for.
import { html, useState } from "../../lib/html.js";
import { isFailed, kindOf } from "../../lib/attempts.js";
import { count, duration } from "../../lib/format.js";
import { Status } from "../../lib/status.js";
import { useVirtual } from "../../lib/virtual.js";

const FEW = 8;
const FAILED = 3;

export function AttemptList({ attempts, step, onSelect }) {
  const [all, setAll] = useState(false);
  if (attempts.length < 2) return null;
  const choice = (attempt, place) => html`<${Choice} ...${place} attempt=${attempt} chosen=${attempt.attempt === step.attempt} onSelect=${onSelect} />`;
  const many = attempts.length > FEW;
  const shown = many && !all ? few(attempts, step) : attempts;
  return html`<div class="attempts-part">
    ${many && all
      ? html`<${All} attempts=${attempts} step=${step} choice=${choice} />`
      : html`<div class="attempts" data-testid="attempts" role="group" aria-label="Attempts of this step">
          ${shown.map((attempt) => choice(attempt, { key: attempt.attempt }))}
        </div>`}
    ${many && html`<p class="attempts-more muted">
      <span>${summary(attempts)}</span>
      <button type="button" class="button button-small" data-testid="all-attempts" aria-expanded=${all ? "true" : "false"} onClick=${() => setAll(!all)}>
        ${all ? "Show fewer" : `Show all ${count(attempts.length)}`}
      </button>
    </p>`}
  </div>`;
}

function few(attempts, step) {
  const failed = attempts.filter(isFailed).slice(-FAILED);
  const wanted = new Set([attempts[0], ...failed, attempts.at(-1)]);
  return attempts.filter((attempt) => wanted.has(attempt) || attempt.attempt === step.attempt);
}

function summary(attempts) {
  const failed = attempts.filter(isFailed).length;
  return `${count(attempts.length)} attempts${failed > 0 ? `, ${count(failed)} failed` : ""}`;
}

// In a box of their own, so that they leave the rest of the panel where it is.
function All({ attempts, step, choice }) {
  const rows = useVirtual(attempts.length, { height: 32, keyOf: (index) => attempts[index].attempt, keep: [step.attempt] });
  return html`<div class="attempts-all">
    <div data-testid="attempts" role="group" aria-label="Attempts of this step" ref=${rows.ref}>
      ${rows.render((index, place) => choice(attempts[index], place))}
    </div>
  </div>`;
}

function Choice({ attempt, chosen, onSelect, ...place }) {
  // A button takes no place in a set, but what is in the window is found by its number.
  const { "aria-setsize": _size, "aria-posinset": _place, ...rest } = place;
  return html`<button type="button" class=${`attempt-choice attempt-${kindOf(attempt)}`} aria-pressed=${chosen ? "true" : "false"}
    data-attempt=${attempt.attempt} onClick=${() => onSelect(attempt)} ...${rest}>
    <span class="attempt-ordinal">Attempt ${attempt.attempt}</span>
    <${Status} status=${attempt.status} liveness=${attempt.liveness} short=${true} />
    <span class="muted">${attempt.durationMs === null ? "" : duration(attempt.durationMs)}</span>
  </button>`;
}
