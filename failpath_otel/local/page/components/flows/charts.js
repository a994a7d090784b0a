// Charts of a flow over the range of time, drawn by hand: how many runs failed and how long they took, in buckets, with
// the same time before as a faint line.
import { html, useMemo, useRef, useState } from "../../lib/html.js";
import { duration, NONE, plural } from "../../lib/format.js";
import { clock, percent } from "./changes.js";

const HEIGHT = 100; // Of the drawing, which is stretched: lines keep their width.
const SHARES = [0.05, 0.1, 0.2, 0.5, 1];

const rates = ({ ended, failed }) => ended.map((number, index) => (number > 0 ? failed[index] / number : null));

const KINDS = {
  failureRate: {
    title: "Failure rate",
    values: rates,
    top: (highest) => SHARES.find((share) => highest <= share) ?? 1,
    text: (value, series, index) =>
      value === null ? NONE : `${percent(value)}, ${series.failed[index]} of ${plural(series.ended[index], "run")}`,
    mark: percent,
    bars: true,
  },
  p95: {
    title: "p95",
    values: ({ p95Ms }) => p95Ms,
    top: (highest) => (highest > 0 ? highest : 1),
    text: (value, series, index) => (value === null ? NONE : `${duration(value)} of ${plural(series.ended[index], "run")}`),
    mark: duration,
    bars: false,
  },
};

const begin = (series, index) => Date.parse(series.start) + index * series.widthMs;

// Of a flow that did not run then there is nothing to show.
const earlier = ({ before }) => (before?.ended.some((number) => number > 0) ? before : null);

// The two series, scaled to the drawing: one unit a bucket.
function scaled(kind, trend) {
  const { values, top } = KINDS[kind];
  const then = earlier(trend);
  const [now, before] = [values(trend.series), then === null ? null : values(then)];
  const highest = Math.max(0, ...now.filter((value) => value !== null), ...(before ?? []).filter((value) => value !== null));
  const limit = top(highest);
  return { now, before, limit, size: now.length, y: (value) => HEIGHT * (1 - value / limit) };
}

// A line with gaps where there is no value; one value alone is a dash.
function line(values, y) {
  let path = "";
  for (const [index, value] of values.entries()) {
    if (value === null) continue;
    const joined = index > 0 && values[index - 1] !== null;
    path += joined ? `L${index + 0.5} ${y(value).toFixed(1)}` : `M${index + 0.2} ${y(value).toFixed(1)}H${index + 0.5}`;
    if (values[index + 1] === null || index === values.length - 1) path += `H${index + 0.8}`;
  }
  return path;
}

function bars(values, y) {
  let path = "";
  for (const [index, value] of values.entries()) {
    if (value > 0) path += `M${index + 0.1} ${HEIGHT}V${Math.min(y(value), HEIGHT - 6).toFixed(1)}H${index + 0.9}V${HEIGHT}z`;
  }
  return path;
}

// Where runs ended and none failed, which is not the same as no run at all.
function ground(values) {
  return values.map((value, index) => (value === 0 ? `M${index + 0.1} ${HEIGHT}h0.8` : "")).join("");
}

function Drawing({ kind, scale, children }) {
  const { now, before, size, y } = scale;
  const shown = before === null ? null : before.slice(0, size);
  return html`<svg class="chart-drawing" viewBox=${`0 0 ${size} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
    ${shown !== null && html`<path class="chart-before" d=${line(shown, y)} />`}
    ${KINDS[kind].bars
      ? html`<path class="chart-ground" d=${ground(now)} /><path class="chart-bars" d=${bars(now, y)} />`
      : html`<path class="chart-line" d=${line(now, y)} />`}
    ${children}
  </svg>`;
}

// Small, without words: what it shows is said beside it.
export function Spark({ kind, trend }) {
  const scale = useMemo(() => scaled(kind, trend), [trend, kind]);
  return html`<span class="trend-spark" data-testid="spark" data-kind=${kind}>
    <${Drawing} kind=${kind} scale=${scale} />
  </span>`;
}

export function Chart({ kind, trend, now }) {
  const { title, text, mark } = KINDS[kind];
  const { series } = trend;
  const before = earlier(trend);
  const scale = useMemo(() => scaled(kind, trend), [trend, kind]);
  const [at, setAt] = useState(null);
  const box = useRef(null);
  const last = scale.size - 1;
  const change = trend.changes.find((each) => each.kind === kind) ?? null;
  const changed = change === null ? null : (Date.parse(change.since) - begin(series, 0)) / series.widthMs;

  const point = (event) => {
    const { left, width } = box.current.getBoundingClientRect();
    setAt(Math.max(0, Math.min(last, Math.floor(((event.clientX - left) / width) * scale.size))));
  };
  const key = (event) => {
    const from = at ?? last + 1;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    setAt(Math.max(0, Math.min(last, to)));
  };
  const span = (index) => `${clock(begin(series, index), now)} – ${clock(begin(series, index + 1), now)}`;
  const then = (index) => (before === null ? "" : `; before ${text(scale.before[index] ?? null, before, index)}`);
  const said = (index) => `${span(index)}: ${text(scale.now[index], series, index)}${then(index)}`;
  const index = at === null ? null : Math.min(at, last);

  return html`<figure class="chart card" data-testid="chart" data-kind=${kind}>
    <figcaption class="chart-head">
      <h2>${title}</h2>
      <p class="muted chart-said" data-testid="chart-said">${index === null ? legend(before) : said(index)}</p>
    </figcaption>
    <div class="chart-box" ref=${box} tabindex="0" role="slider" aria-label=${`${title} over time`} aria-valuemin="0"
      aria-valuemax=${last} aria-valuenow=${index ?? last} aria-valuetext=${said(index ?? last)} aria-orientation="horizontal"
      onPointerMove=${point} onPointerDown=${point} onPointerLeave=${() => setAt(null)} onKeyDown=${key} onBlur=${() => setAt(null)}>
      <span class="chart-top" aria-hidden="true">${mark(scale.limit)}</span>
      <${Drawing} kind=${kind} scale=${scale}>
        ${changed !== null && html`<path class=${`chart-changed ${change.worse ? "chart-worse" : ""}`} d=${`M${changed} 0V${HEIGHT}`} />`}
        ${index !== null && html`<path class="chart-at" d=${`M${index + 0.5} 0V${HEIGHT}`} />`}
      <//>
    </div>
    <p class="chart-ends muted" aria-hidden="true">
      <span>${clock(begin(series, 0), now)}</span><span>${clock(begin(series, scale.size), now)}</span>
    </p>
    <${Table} title=${title} scale=${scale} series=${series} before=${before} text=${text} span=${span} />
  </figure>`;
}

const legend = (before) => (before === null ? "" : html`<span class="chart-key" aria-hidden="true"></span> the same time before`);

function Table({ title, scale, series, before, text, span }) {
  const rows = scale.now.flatMap((value, index) => (value === null ? [] : [index]));
  // A table is as wide as its cells, whatever it is told.
  return html`<div class="visually-hidden"><table>
    <caption>${title} over time</caption>
    <thead><tr><th scope="col">Time</th><th scope="col">${title}</th>${before !== null && html`<th scope="col">Before</th>`}</tr></thead>
    <tbody>
      ${rows.map((index) => html`<tr key=${index}>
        <th scope="row">${span(index)}</th>
        <td>${text(scale.now[index], series, index)}</td>
        ${before !== null && html`<td>${text(scale.before[index] ?? null, before, index)}</td>`}
      </tr>`)}
    </tbody>
  </table></div>`;
}
