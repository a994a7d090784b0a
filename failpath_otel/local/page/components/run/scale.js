// The time axis of the waterfall: how far it reaches, and where its ticks stand.
import { duration } from "../../lib/format.js";

const HEADROOM = 1.15;
const STEPS = [1, 2, 5];
const ABOVE_A_SECOND = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400];
const SHORTEST = 0.01;
const SHORTEST_GROWING = 10_000;

// While something runs the axis reaches to the next round length, so that bars grow in it and it jumps but seldom.
export function reach(elapsedMs, growing) {
  if (!growing) return Math.max(elapsedMs, SHORTEST);
  if (elapsedMs < SHORTEST_GROWING) return SHORTEST_GROWING;
  const seconds = (elapsedMs * HEADROOM) / 1000;
  for (const step of ABOVE_A_SECOND) {
    for (const times of [1, 2]) if (step * times >= seconds) return step * times * 1000;
  }
  return Math.ceil(seconds / 86_400) * 86_400_000;
}

// At most `most` ticks after zero, in milliseconds, at round distances.
export function ticks(total, most) {
  const least = total / most;
  const step = least < 500 ? decimalStep(least) : secondsStep(least / 1000) * 1000;
  const found = [];
  for (let index = 0; index * step <= total * 0.999; index += 1) found.push(index * step);
  return found;
}

function decimalStep(least) {
  const decade = 10 ** Math.floor(Math.log10(least));
  return (STEPS.find((step) => step * decade >= least) ?? 10) * decade;
}

function secondsStep(least) {
  return ABOVE_A_SECOND.find((step) => step >= least) ?? Math.ceil(least / 86_400) * 86_400;
}

export function tickLabel(ms) {
  if (ms === 0) return "0";
  if (ms < 1000) return duration(Number(ms.toPrecision(6)));
  if (ms < 60_000) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return seconds % 60 ? `${Math.floor(seconds / 60)} min ${seconds % 60} s` : `${seconds / 60} min`;
  if (seconds < 172_800) return seconds % 3600 ? duration(ms) : `${seconds / 3600} h`;
  return duration(ms);
}
