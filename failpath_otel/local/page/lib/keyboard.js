// Keys of the page: each view names its own, single ("j") or in sequence ("g f"); the newest view that has one gets it.
import { useLayoutEffect, useRef } from "./html.js";

const SEQUENCE_MS = 1000;
const layers = [];
let pending = "";
let pendingUntil = 0;

const inField = (target) => target.closest?.("input, textarea, select, [contenteditable]") !== null;
const isControl = (target) => target.closest?.("a, button, summary, [role=button], [role=tab]") !== null;

function find(key) {
  for (let index = layers.length - 1; index >= 0; index -= 1) {
    const handler = layers[index].keys[key];
    if (handler) return handler;
  }
  return null;
}

function pressed(event) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return; // It has its own keys.
  const key = event.key === "Escape" ? "Esc" : event.key;
  if (!(event.target instanceof Element)) return;
  if (key !== "Esc" && inField(event.target)) return;
  if ((key === "Enter" || key === " ") && isControl(event.target)) return;
  const sequence = pending && performance.now() < pendingUntil ? `${pending} ${key}` : null;
  pending = "";
  const handler = (sequence && find(sequence)) || find(key);
  if (handler) {
    if (handler(event) !== false) event.preventDefault();
  } else if (layers.some(({ keys }) => Object.keys(keys).some((name) => name.startsWith(`${key} `)))) {
    pending = key;
    pendingUntil = performance.now() + SEQUENCE_MS;
  }
}

document.addEventListener("keydown", pressed);

export function useKeys(keys) {
  const layer = useRef({}).current;
  layer.keys = keys;
  useLayoutEffect(() => {
    layers.push(layer);
    return () => layers.splice(layers.indexOf(layer), 1);
  }, []);
}
