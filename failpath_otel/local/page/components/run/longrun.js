// A run that is too long to be sent whole: what is asked for in parts when it is looked at.
import { useEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { get, useResource } from "../../lib/api.js";
import { search } from "../../lib/router.js";

const CHUNK = 500; // Events that are asked for at once.
const RETRY_MS = 2000;

const MISSING = {
  startedAt: null, endedAt: null, durationMs: null, error: null, process: null, liveness: null, parentSpanId: null,
  metadata: null, traceId: null,
};

const pathOf = (what, run, more = {}) => `${what}/${encodeURIComponent(run.runId)}${search({ flow: run.flowKey, ...more })}`;

// The answer with every field in each of its steps; metadata that was not sent is null. A step may have the name of what
// every object has, as `constructor`: there is no p50 of it unless it was sent.
export function useFilled(answer) {
  return useMemo(() => {
    if (answer === null) return null;
    const data = { ...answer, p50Ms: Object.assign(Object.create(null), answer.p50Ms) };
    if (data.whole) return data;
    const steps = data.run.steps.map((step) => ({ ...MISSING, ...step }));
    return { ...data, run: { ...data.run, steps } };
  }, [answer]);
}

// The answer with all of the run in it, for what is taken along.
export const whole = (data) => (data.whole ? data : get(pathOf("run", data.run, { whole: 1 })));

// An attempt with its metadata, its stack and its ids: at once where the run was sent whole, else when it has come.
export function useStep(data, step) {
  const path = step.metadata === null ? pathOf("run-step", data.run, { step: step.stepKey, span: step.spanId }) : null;
  const { data: answer, error, reload } = useResource(path);
  const state = `${step.status} ${step.endedAt} ${step.status === "running" ? data.revision : ""}`;
  const known = useRef({ path, state }).current;
  useEffect(() => {
    if (known.path === path && known.state !== state) reload();
    Object.assign(known, { path, state });
  }, [path, state]);
  if (path === null) return { step, loading: false, error: null, reload };
  if (answer === null) return { step, loading: true, error, reload };
  return { step: { ...step, ...answer.step, attempt: step.attempt }, loading: false, error: null, reload };
}

// The events of the run, by their place: null for one that has not come yet, which is asked for.
export function useEvents(data) {
  const own = useRef({ chunks: new Map(), asked: new Set(), wanted: new Set(), timer: null }).current;
  const [, changed] = useState(0);
  const again = () => changed((number) => number + 1);
  own.wanted.clear();

  const load = async (number) => {
    const { revision } = data;
    own.asked.add(number);
    try {
      const { events } = await get(pathOf("run-events", data.run, { offset: number * CHUNK, limit: CHUNK }));
      own.chunks.set(number, { revision, events });
      own.asked.delete(number);
      again();
    } catch {
      own.timer ??= setTimeout(() => {
        own.timer = null;
        own.asked.clear();
        again();
      }, RETRY_MS);
    }
  };
  useEffect(() => {
    for (const number of own.wanted) {
      if (own.chunks.get(number)?.revision !== data.revision && !own.asked.has(number)) load(number);
    }
  });
  useEffect(() => () => clearTimeout(own.timer), []);

  if (data.whole) return (index) => data.events[index] ?? null;
  return (index) => {
    const number = Math.floor(index / CHUNK);
    own.wanted.add(number);
    return own.chunks.get(number)?.events[index % CHUNK] ?? null;
  };
}
