// Preact and htm, as all of the page uses them.
import htm from "../vendor/htm.mjs";
import { h } from "../vendor/preact.mjs";

// htm would keep every part of a template that has no values, and with it the first element that was made of it and
// all that this element was in: rows that are gone would stay. `this[0]` says that a part may differ, so it keeps none.
export const html = htm.bind(function element(type, props, ...children) {
  this[0] = 3;
  return h(type, props, ...children);
});

export { Component, h, render } from "../vendor/preact.mjs";
export {
  useCallback, useEffect, useErrorBoundary, useLayoutEffect, useMemo, useRef, useState,
} from "../vendor/hooks.mjs";
