// The address of the page as state: what it is now, how to change it, and links that change it without a reload.
import { html, useEffect, useState } from "./html.js";
import { carried } from "./range.js";

const listeners = new Set();

function decoded(segment) {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

// Where the page is.
export function current() {
  const { pathname, search } = window.location;
  return {
    path: pathname,
    segments: pathname.split("/").filter(Boolean).map(decoded),
    query: new URLSearchParams(search),
  };
}

let place = current();

function changed() {
  place = current();
  for (const listener of listeners) listener(place);
}

window.addEventListener("popstate", changed);

export function useLocation() {
  const [location, setLocation] = useState(place);
  useEffect(() => {
    listeners.add(setLocation);
    setLocation(place); // It may have changed between the render and this effect.
    return () => listeners.delete(setLocation);
  }, []);
  return location;
}

// To another view, which keeps the range of time.
export const navigate = (path, options) => go(carried(path), options);

function go(path, { replace = false } = {}) {
  const before = window.location.pathname;
  window.history[replace ? "replaceState" : "pushState"](null, "", path);
  if (window.location.pathname !== before) window.scrollTo(0, 0);
  changed();
}

// A list stands as the same name several times.
function put(query, name, value) {
  query.delete(name);
  for (const each of [value].flat()) {
    if (each !== null && each !== undefined && each !== "") query.append(name, String(each));
  }
}

export function setQuery(changes, { replace = false } = {}) {
  const query = new URLSearchParams(window.location.search);
  for (const [name, value] of Object.entries(changes)) put(query, name, value);
  const search = query.toString();
  const path = window.location.pathname + (search ? `?${search}` : "");
  if (path !== window.location.pathname + window.location.search) go(path, { replace });
}

export function Link({ href, onClick, children, ...rest }) {
  const follow = (event) => {
    onClick?.(event);
    const plain = event.button === 0 && !event.metaKey && !event.ctrlKey && !event.shiftKey && !event.altKey;
    if (!plain || event.defaultPrevented) return;
    event.preventDefault();
    navigate(href);
  };
  return html`<a href=${carried(href)} onClick=${follow} ...${rest}>${children}</a>`;
}

export const flowPath = (flowKey, extra = {}) => `/flows/${encodeURIComponent(flowKey)}${search(extra)}`;

export const runPath = (runId, flowKey, extra = {}) =>
  `/runs/${encodeURIComponent(runId)}${search({ flow: flowKey, ...extra })}`;

export function search(values) {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) put(query, name, value);
  const text = query.toString();
  return text ? `?${text}` : "";
}
