// The view of one run: its header, its graph, the waterfall, the selected step's panel, the event log.
import { html, useCallback, useEffect, useMemo, useRef } from "../lib/html.js";
import { useResource } from "../lib/api.js";
import { byStep, firstToSee, isFailed, nameOf, selectedOf } from "../lib/attempts.js";
import { EventLog } from "../components/run/eventlog.js";
import { useFoldedRows } from "../components/run/foldedrows.js";
import { Graph } from "../components/flow/graph.js";
import { useKeys } from "../lib/keyboard.js";
import { Panel } from "../components/run/panel.js";
import { Failure, Loading } from "../components/parts.js";
import { useFilled } from "../components/run/longrun.js";
import { Link, navigate, search, setQuery, useLocation } from "../lib/router.js";
import { RunHeader, Trouble } from "../components/run/runheader.js";
import { look } from "../lib/status.js";
import { useStream } from "../lib/stream.js";
import { WHOLE_UP_TO } from "../lib/virtual.js";
import { Waterfall } from "../components/run/waterfall.js";

const RELOAD_MS = 250;
const LONG = 30; // Attempts of a run that does not fit a screen: it opens at the one that matters.

export function RunView({ runId }) {
  const { query } = useLocation();
  const flowKey = query.get("flow");
  const path = `run/${encodeURIComponent(runId)}${search({ flow: flowKey })}`;
  const { data: answer, error, reload, reloadSoon } = useResource(path, { every: RELOAD_MS });
  const data = useFilled(answer);

  const concerns = (row) => {
    if (row.runId === runId) return flowKey === null || row.flowKey === flowKey;
    return data !== null && data.next === null && row.flowKey === data.run.flowKey; // It may be the next run.
  };
  useStream(({ rows, more, revision }) => {
    if (rows.some(concerns) || (more && revision !== data?.revision)) reloadSoon();
  }, reload);

  useEffect(() => {
    document.title = data === null ? `${runId} · Failpath` : `${runId} · ${data.run.flowKey} · Failpath`;
  }, [runId, data?.run.flowKey]);

  if (error?.status === 404) return html`<${Unknown} runId=${runId} flowKey=${flowKey} />`;
  if (data === null) return error ? html`<${Failure} what="This run" error=${error} retry=${reload} />` : html`<${Loading} what="the run" />`;
  return html`<${Run} key=${`${data.run.flowKey}\n${data.run.runId}`} data=${data} query=${query} />`;
}

function Unknown({ runId, flowKey }) {
  return html`<div class="notice" data-testid="unknown-run">
    <h1>No such run</h1>
    <p>
      Nothing has been received of a run <span class="mono">${runId}</span>
      ${flowKey !== null && html` of <span class="mono">${flowKey}</span>`}, or it is so old that it was deleted. It
      appears here as soon as its first event arrives.
    </p>
    <p><${Link} href="/runs">All runs<//></p>
  </div>`;
}

const choose = (step, options) => setQuery({ step: step.stepKey, attempt: step.attempt ?? null }, options);

function Run({ data, query }) {
  const { run, graph, p50Ms } = data;
  const panel = useRef(null);
  const finder = useRef(null);
  const onlyFailed = query.get("failed") === "1";
  const wanted = (query.get("find") ?? "").trim().toLowerCase();
  const selected = selectedOf(run.steps, query);
  const labels = useMemo(() => new Map(graph.nodes.map((node) => [node.stepKey, node.label])), [graph]);
  const states = useMemo(() => statesOf(run), [run]);
  const { rows, steps, failed, tree, folded, fold, ascend, descend } = useFoldedRows(run, {
    onlyFailed, wanted, labels, selected, onSelect: choose,
  });
  const opening = useOpening(run, steps, query);

  const chooseStep = useCallback((stepKey) => states.has(stepKey) && choose(states.get(stepKey).newest), [states]);
  const runs = useMemo(() => Math.max(0, ...graph.nodes.map((node) => node.runs)), [graph]);

  const move = (list, by) => {
    const at = selected === null ? -1 : list.findIndex(({ name }) => name === nameOf(selected));
    const next = at < 0 ? (by > 0 ? 0 : list.length - 1) : Math.min(Math.max(at + by, 0), list.length - 1);
    if (list[next]) choose(list[next].step, { replace: selected !== null });
  };
  const inList = (event) => event.target.closest("[role=listbox], [role=tree]") !== null;
  const sideways = (go) => (event) => tree && (inList(event) || event.target === document.body) && go();
  const nextError = () => {
    const next = failedAfter(steps, selected);
    if (next) choose(next, { replace: selected !== null });
  };
  const clear = () => setQuery({ step: null, attempt: null });
  useKeys({
    j: () => move(rows, 1),
    k: () => move(rows, -1),
    ArrowDown: (event) => inList(event) && move(rows, 1),
    ArrowUp: (event) => inList(event) && move(rows, -1),
    ArrowLeft: sideways(ascend),
    ArrowRight: sideways(descend),
    "/": () => {
      finder.current?.focus();
      return finder.current !== null;
    },
    e: nextError,
    Enter: () => {
      if (panel.current === null) return false;
      panel.current.focus();
      return true;
    },
    Esc: () => (selected === null ? backToList() : clear()),
  });

  return html`
    <${RunHeader} data=${data} selected=${selected} />
    <div class=${`run-body${selected === null ? "" : " run-body-split"}`}>
      <div class="run-main">
        ${graph.nodes.length > 0 &&
        html`<section class="card graph-card" aria-label="Graph">
          <${Graph}
            graph=${graph}
            name=${`the run, in the shape of ${run.flowKey}`}
            runs=${runs}
            states=${states}
            selected=${selected?.stepKey ?? null}
            onSelect=${chooseStep}
          />
        </section>`}
        <${Trouble} run=${run} lastEvent=${data.row.activeAt} labels=${labels} p50Ms=${p50Ms} selected=${selected} onSelect=${choose} />
        <section class="card waterfall-card" aria-labelledby="waterfall-title">
          <div class="card-head">
            <h2 id="waterfall-title">Steps</h2>
            <div class="card-actions">
              ${(steps.length > WHOLE_UP_TO || wanted !== "") && html`<${Find} value=${query.get("find") ?? ""} fieldRef=${finder} />`}
              ${Object.keys(p50Ms).length > 0 && html`<span class="legend"><span class="legend-mark" aria-hidden="true"></span>p50 of the step</span>`}
              <button type="button" class="button button-small" data-testid="only-failed" aria-pressed=${onlyFailed ? "true" : "false"}
                onClick=${() => setQuery({ failed: onlyFailed ? null : "1" })}>
                Only failed <span class="count">${failed.length}</span>
              </button>
              <button type="button" class="button button-small" data-testid="next-error" disabled=${failed.length === 0} onClick=${nextError}>
                Next error <kbd aria-hidden="true">e</kbd>
              </button>
            </div>
          </div>
          ${rows.length > 0
            ? html`<${Waterfall} run=${run} rows=${rows} tree=${tree} folded=${folded} labels=${labels} p50Ms=${p50Ms}
                selected=${selected === null ? null : nameOf(selected)} opening=${opening} onSelect=${choose} onFold=${fold} />`
            : html`<p class="card-note muted">${wanted === "" ? "No step of this run has failed." : "No step of this run matches."}</p>`}
        </section>
      </div>
      ${selected !== null &&
      html`<${Panel}
        data=${data}
        line=${selected}
        label=${labels.get(selected.stepKey) ?? selected.stepKey}
        attempts=${run.steps.filter((step) => step.stepKey === selected.stepKey)}
        p50Ms=${p50Ms[selected.stepKey] ?? null}
        onSelect=${choose}
        onClose=${clear}
        panelRef=${panel}
      />`}
    </div>
    <${EventLog} data=${data} onSelect=${choose} />
  `;
}

// A long run opens at the step that failed first, or at what runs now, unless the address names one.
function useOpening(run, steps, query) {
  const opening = useRef(null);
  useEffect(() => {
    const step = steps.length > LONG && !query.has("step") ? firstToSee(run, steps) : null;
    if (step === null) return;
    opening.current = nameOf(step);
    choose(step, { replace: true });
  }, []);
  return opening;
}

// The browser's own search finds nothing in rows that are not in the document.
function Find({ value, fieldRef }) {
  const leave = (event) => {
    if (event.key !== "Escape") return;
    event.preventDefault();
    event.currentTarget.blur();
  };
  return html`<input type="search" class="find-step" data-testid="find-step" aria-label="Find a step" placeholder="Find a step"
    value=${value} ref=${fieldRef} onKeyDown=${leave}
    onInput=${(event) => setQuery({ find: event.currentTarget.value }, { replace: true })} />`;
}

// What happened to each step, by its newest attempt.
function statesOf(run) {
  const found = new Map();
  for (const [stepKey, attempts] of byStep(run.steps)) {
    const newest = attempts.at(-1);
    const { kind, word } = look(newest.status, newest.liveness);
    found.set(stepKey, { kind, word, newest, attempts: attempts.length });
  }
  return found;
}

function failedAfter(steps, selected) {
  const at = selected === null ? -1 : steps.findIndex((step) => nameOf(step) === nameOf(selected));
  return [...steps.slice(at + 1), ...steps.slice(0, at + 1)].find(isFailed);
}

// To the newest place in the history that is not a run, so that a list comes back with its filters.
function backToList() {
  const at = window.navigation?.currentEntry?.index ?? 0;
  const entries = window.navigation?.entries() ?? [];
  for (let index = at - 1; index >= 0; index -= 1) {
    const { pathname } = new URL(entries[index].url);
    if (!pathname.startsWith("/runs/")) {
      window.history.go(index - at);
      return;
    }
  }
  navigate("/runs");
}
