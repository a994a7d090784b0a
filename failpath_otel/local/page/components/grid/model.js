// What the grid of a flow holds: its runs and steps as the receiver answers them, and what came of a step in a run.
import { duration, plural } from "../../lib/format.js";
import { look } from "../../lib/status.js";

const KINDS = { s: "success", e: "error", k: "skipped", r: "running", i: "silent", g: "gone" };
export const ABSENT = ".";

export const kindOf = (letter) => KINDS[letter] ?? null;

export const wordOf = (kind) => (kind === "silent" || kind === "gone" ? look("running", kind).word : look(kind).word);

// {runs, steps, next}: each run has its `letters`, and by the place of a step `durations`, `errors` and `repeated`.
export function decoded(data) {
  const runs = data.runs.map((run) => {
    const durations = new Float64Array(run.cells.length).fill(NaN);
    let at = 0;
    for (let step = 0; step < run.cells.length; step += 1) {
      if (run.cells[step] !== ABSENT) durations[step] = run.durations[at++] ?? NaN;
    }
    return { ...run, letters: run.cells, durations, errors: new Map(), repeated: new Map() };
  });
  for (const [run, step, text] of data.errors) runs[run].errors.set(step, data.texts[text]);
  for (const [run, step, tried, failed] of data.repeated) runs[run].repeated.set(step, { tried, failed });
  return { runs, steps: data.steps, next: data.next };
}

// The same runs and steps in the same places as in `before`, with what is known of them now; what is new stays out.
export function inPlaces(now, before) {
  const fresh = new Map(now.runs.map((run) => [run.runId, run]));
  const places = new Map(now.steps.map(({ stepKey }, place) => [stepKey, place]));
  const same = before.steps.length === now.steps.length && before.steps.every(({ stepKey }, place) => places.get(stepKey) === place);
  const from = before.steps.map(({ stepKey }) => places.get(stepKey) ?? -1);
  const runs = before.runs.map((run) => {
    const its = fresh.get(run.runId);
    if (its === undefined) return run;
    return same ? its : moved(its, from);
  });
  const steps = before.steps.map((step, place) => (from[place] < 0 ? step : now.steps[from[place]]));
  return { runs, steps, next: before.next };
}

function moved(run, from) {
  const pick = (found) => new Map(from.flatMap((at, place) => (found.has(at) ? [[place, found.get(at)]] : [])));
  return {
    ...run,
    letters: from.map((at) => (at < 0 ? ABSENT : run.letters[at])).join(""),
    durations: Float64Array.from(from, (at) => (at < 0 ? NaN : run.durations[at])),
    errors: pick(run.errors),
    repeated: pick(run.repeated),
  };
}

// What came of a step in a run.
export function cellOf(run, step) {
  const kind = kindOf(run.letters[step]);
  return {
    kind,
    durationMs: Number.isNaN(run.durations[step]) ? null : run.durations[step],
    error: run.errors.get(step) ?? null,
    ...(run.repeated.get(step) ?? { tried: kind === null ? 0 : 1, failed: 0 }),
  };
}

export const attemptsOf = ({ tried, failed }) => `${plural(tried, "attempt")}, ${failed} failed`;

// All that a cell shows, as one sentence.
export function sentenceOf(cell) {
  if (cell.kind === null) return "not reached";
  const said = [wordOf(cell.kind)];
  if (cell.durationMs !== null) said.push(duration(cell.durationMs));
  if (cell.tried > 1) said.push(attemptsOf(cell));
  if (cell.error !== null) said.push(cell.error);
  return said.join(", ");
}
