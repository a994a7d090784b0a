// What the run's page derives from the attempts of a run: their place in time, their kind, which one is selected.
import { look } from "./status.js";

// Milliseconds since the epoch, with the microseconds that Date.parse drops.
export function instant(text) {
  if (!text) return null;
  const beyond = /\.\d{3}(\d{1,3})/.exec(text);
  return Date.parse(text) + (beyond ? Number(beyond[1].padEnd(3, "0")) / 1000 : 0);
}

export const kindOf = (step) => look(step.status, step.liveness).kind;

export const nameOf = (step) => `${step.stepKey}#${step.attempt}`;

export const isFailed = (step) => step.status === "error" || (step.status === "running" && step.liveness === "gone");

// Of something that started and has not ended it is still known how long it takes: as long as its process is there.
// Of one that came as a file nothing is known any more.
export const isGrowing = (step) =>
  step.status === "running" && step.liveness !== "gone" && !step.still && step.startedAt !== null;

export const place = (step) => instant(step.startedAt ?? step.endedAt);

// Attempts by step key, each list oldest first; the steps in the order of the run.
export function byStep(steps) {
  const found = new Map();
  for (const step of steps) {
    if (!found.has(step.stepKey)) found.set(step.stepKey, []);
    found.get(step.stepKey).push(step);
  }
  return found;
}

// The rows of the waterfall: each attempt where it began.
export function inTime(steps) {
  const placed = steps.map((step, index) => ({ step, index, at: place(step) }));
  placed.sort((a, b) => a.at - b.at || a.index - b.index);
  return placed.map(({ step }) => step);
}

// The attempt that the address names; without `attempt=` the newest of its step.
export function selectedOf(steps, query) {
  const stepKey = query.get("step");
  if (stepKey === null) return null;
  const own = steps.filter((step) => step.stepKey === stepKey);
  const attempt = query.get("attempt");
  return own.find((step) => String(step.attempt) === attempt) ?? own.at(-1) ?? null;
}

// What a failed or interrupted run is about: the newest attempt of a step that failed last, else the first that is gone or silent.
export function trouble(run) {
  const newest = [...byStep(run.steps).values()].map((own) => own.at(-1));
  const failed = newest.filter((step) => step.status === "error");
  if (failed.length > 0) return failed.reduce((last, step) => (place(step) >= place(last) ? step : last));
  return newest.find((step) => step.liveness === "gone") ?? newest.find((step) => step.liveness === "silent") ?? null;
}

// Where to begin in a long run: the step that failed first and was not tried again, of nested ones the innermost; else
// one that is gone; else the last that began and runs. `steps` in their order.
export function firstToSee(run, steps) {
  const newest = new Set([...byStep(run.steps).values()].map((own) => own.at(-1)));
  const current = steps.filter((step) => newest.has(step));
  const failed = current.filter((step) => step.status === "error");
  if (failed.length > 0) return failed.reduce((first, step) => (instant(step.endedAt) <= instant(first.endedAt) ? step : first));
  return current.find(isFailed) ?? current.findLast((step) => step.status === "running") ?? null;
}

// How this duration stands to the step's usual one: "1.8× its p50".
export function factor(durationMs, p50Ms) {
  if (durationMs === null || !p50Ms) return null;
  const times = durationMs / p50Ms;
  if (times < 0.05) return "less than 0.1×";
  return `${times >= 9.95 ? Math.round(times).toLocaleString("en-US") : times.toFixed(1)}×`;
}
