// A duration that grows while something runs, by the receiver's clock, each tenth of a second at first, then each second.
import { html, useEffect, useState } from "../lib/html.js";
import { instant } from "../lib/attempts.js";
import { duration } from "../lib/format.js";
import { serverNow, useNow } from "../lib/stream.js";

const STILL = window.matchMedia("(prefers-reduced-motion: reduce)");

export function useReducedMotion() {
  const [reduced, setReduced] = useState(STILL.matches);
  useEffect(() => {
    const follow = () => setReduced(STILL.matches);
    STILL.addEventListener("change", follow);
    return () => STILL.removeEventListener("change", follow);
  }, []);
  return reduced;
}

export function Elapsed({ since }) {
  const started = instant(since);
  const reduced = useReducedMotion();
  useNow(reduced || serverNow() - started > 60_000 ? 1000 : 100);
  const elapsed = Math.max(0, serverNow() - started);
  if (elapsed > 60_000) return html`${duration(elapsed)}`;
  return html`${`${(elapsed / 1000).toFixed(reduced ? 0 : 1)} s`}`;
}
