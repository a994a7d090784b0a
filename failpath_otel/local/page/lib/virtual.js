// The window of a long list: the rows in sight are in the document, and spacers as high as all the others. What the
// browser's own search does not find in it, the view that shows the list has to look for.
import { html, useLayoutEffect, useRef, useState } from "./html.js";

export const WHOLE_UP_TO = 200; // Up to here all rows are rendered, as if this were not here.
const LEAST_BEYOND = 8; // Rows rendered beyond each end of what is in sight, at least; else as many as are in sight.

// Where each row begins, and which one is where. Rows that were never measured are taken to be of the usual height.
class Heights {
  constructor(usual) {
    this.usual = usual;
    this.count = 0;
    this.own = new Map();
    this.tops = null;
  }

  top(index) {
    if (this.own.size === 0) return index * this.usual;
    if (this.tops?.length !== this.count + 1) {
      this.tops = new Float64Array(this.count + 1);
      for (let at = 0; at < this.count; at += 1) this.tops[at + 1] = this.tops[at] + (this.own.get(at) ?? this.usual);
    }
    return this.tops[index];
  }

  at(y) {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.top(middle + 1) <= y) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  set(index, height) {
    if (height === 0 || Math.abs((this.own.get(index) ?? this.usual) - height) < 0.5) return false;
    this.own.set(index, height);
    this.tops = null;
    return true;
  }
}

// `count` rows, of which `keyOf(index)` names one. `height`: of a row in pixels, roughly; the real one is read from the
// document, of one row or, with `measured`, where their heights differ, of each that was shown. There is no gap
// between rows. Those whose keys are in `keep`, and one with the focus in it, stay in the document wherever they are. `table`: rows of a table with one row
// as its head. `wholeUpTo`: fewer where a row is much. Returns
//   ref           for the element around the rows, which does not scroll by itself: what is around it may, or the page
//   list          attributes of the element with the role of the list or table
//   render(row)   the rows in their places; `row(index, attributes)` gives one, with all of these attributes on its element
//   top(index)    where a row begins, in pixels below the beginning of `ref`
//   whole         whether all rows are in the document
export function useVirtual(count, { height, keyOf = (index) => index, keep = [], measured = false, table = false, wholeUpTo = WHOLE_UP_TO }) {
  const ref = useRef(null);
  const [, again] = useState(0);
  const own = useRef({ heights: new Heights(height), first: 0, last: LEAST_BEYOND, shown: new Map() }).current;
  const { heights } = own;
  const whole = count <= wholeUpTo;
  if (heights.count !== count) heights.count = count;

  const look = () => {
    if (ref.current === null || own.whole) return;
    const sight = inSight(ref.current);
    const first = Math.min(heights.at(sight.top), heights.count);
    const last = Math.min(heights.at(sight.bottom) + 1, heights.count);
    const beyond = Math.max(LEAST_BEYOND, last - first);
    // Not at each row that scrolls in, but in time before the rendered ones end.
    const enough = own.first <= Math.max(0, first - beyond / 4) && own.last >= Math.min(heights.count, last + beyond / 4);
    if (enough && own.last - own.first <= 4 * beyond) return;
    own.first = Math.max(0, first - beyond);
    own.last = Math.min(heights.count, last + beyond);
    again((number) => number + 1);
  };
  own.look = look;
  own.whole = whole;

  const shown = new Map();
  if (!whole) {
    const kept = [...keep, focusedKey(ref.current, own.shown)].map((key) => indexOf(key, count, keyOf, own.shown));
    for (const index of indexes(own, kept, count)) shown.set(index, keyOf(index));
  }

  useLayoutEffect(() => {
    own.shown = shown;
    if (whole || ref.current === null) return;
    if (measure(ref.current, heights, measured)) again((number) => number + 1);
    look();
  });

  useLayoutEffect(() => {
    if (whole || ref.current === null) return undefined;
    const notice = () => own.look();
    // Of the page, and of whatever box around the rows scrolls.
    window.addEventListener("scroll", notice, { capture: true, passive: true });
    window.addEventListener("resize", notice);
    const watcher = new ResizeObserver(notice);
    watcher.observe(ref.current);
    watcher.observe(document.body); // What is above the list may grow, and push it out of sight or into it.
    return () => {
      window.removeEventListener("scroll", notice, { capture: true });
      window.removeEventListener("resize", notice);
      watcher.disconnect();
    };
  }, [whole, ref.current]);

  const render = (row) => {
    if (whole) return Array.from({ length: count }, (_, index) => row(index, { key: keyOf(index) }));
    const places = table
      ? (index) => ({ "aria-rowindex": index + 2 })
      : (index) => ({ "aria-setsize": count, "aria-posinset": index + 1 });
    const parts = [];
    let end = 0;
    const space = (from, to) => {
      const pixels = heights.top(to) - heights.top(from);
      if (pixels > 0) parts.push(table ? rowOfSpace(pixels, to) : itemOfSpace(pixels, to));
    };
    for (const [index, key] of shown) {
      space(end, index);
      parts.push(row(index, { key, "data-at": index, ...places(index) }));
      end = index + 1;
    }
    space(end, count);
    return parts;
  };

  const list = whole || !table ? {} : { "aria-rowcount": count + 1 };
  return { ref, list, render, top: (index) => heights.top(index), whole };
}

// Where the browser would hold on to a spacer in sight, it would scroll with it when rows take its place.
const NO_ANCHOR = { overflowAnchor: "none" };

const itemOfSpace = (pixels, to) =>
  html`<div key=${`space ${to}`} class="space" aria-hidden="true" style=${{ height: `${pixels}px`, ...NO_ANCHOR }}></div>`;

const rowOfSpace = (pixels, to) => html`<tr key=${`space ${to}`} class="space" aria-hidden="true" style=${NO_ANCHOR}>
  <td style=${{ height: `${pixels}px`, padding: 0, border: 0, ...NO_ANCHOR }}></td>
</tr>`;

// What of an element is in sight, in pixels from its top.
function inSight(element) {
  let top = 0;
  let bottom = window.innerHeight;
  for (let around = element.parentElement; around !== null && around !== document.body; around = around.parentElement) {
    if (getComputedStyle(around).overflowY === "visible") continue;
    const edges = around.getBoundingClientRect();
    top = Math.max(top, edges.top);
    bottom = Math.min(bottom, edges.bottom);
  }
  const begin = element.getBoundingClientRect().top;
  return { top: Math.max(0, top - begin), bottom: Math.max(0, bottom - begin) };
}

function focusedKey(list, shown) {
  const row = list?.contains(document.activeElement) ? document.activeElement.closest("[data-at]") : null;
  return row === null ? undefined : shown.get(Number(row.dataset.at));
}

function indexOf(key, count, keyOf, shown) {
  if (key === undefined || key === null) return -1;
  for (const [index, before] of shown) if (before === key && index < count && keyOf(index) === key) return index;
  for (let index = 0; index < count; index += 1) if (keyOf(index) === key) return index;
  return -1;
}

function indexes({ first, last }, kept, count) {
  const found = new Set(kept.filter((index) => index >= 0));
  for (let index = first; index < Math.min(last, count); index += 1) found.add(index);
  return [...found].sort((a, b) => a - b);
}

// Reads how high the rows really are; returns whether that is news.
function measure(list, heights, each) {
  let news = false;
  if (!each) {
    const pixels = list.querySelector(":scope > [data-at]")?.getBoundingClientRect().height ?? 0;
    if (pixels > 0 && Math.abs(pixels - heights.usual) >= 0.5) {
      heights.usual = pixels;
      news = true;
    }
    return news;
  }
  for (const row of list.querySelectorAll(":scope > [data-at]")) {
    news = heights.set(Number(row.dataset.at), row.getBoundingClientRect().height) || news;
  }
  return news;
}
