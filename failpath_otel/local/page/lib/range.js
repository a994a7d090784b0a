// The range of time that an address names: `range=1h|24h|7d`, or `from=` and `to=` in RFC 3339; without them all time.
import { useNow } from "./stream.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

// The span, and in which steps its begin moves on: what is loaded is the same for so long.
const SPANS = {
  "1h": { span: HOUR, step: MINUTE, label: "1 h", words: "the last hour" },
  "24h": { span: DAY, step: 5 * MINUTE, label: "24 h", words: "the last 24 hours" },
  "7d": { span: 7 * DAY, step: HOUR, label: "7 d", words: "the last 7 days" },
};

export const NAMES = ["range", "from", "to"];
export const CHOICES = [...Object.entries(SPANS).map(([name, { label, words }]) => ({ name, label, words })), {
  name: "all", label: "All", words: "all time",
}];

const utc = (ms) => new Date(ms).toISOString().replace(".000Z", "Z");

function timeIn(text) {
  const ms = Date.parse(text ?? "");
  return Number.isNaN(ms) ? null : utc(ms);
}

// {name, from, to}: `name` is "1h", "24h", "7d", "all" or "custom"; times are RFC 3339 or null for no limit.
export function rangeIn(query, now) {
  const name = query.get("range");
  if (Object.hasOwn(SPANS, name ?? "")) {
    const { span, step } = SPANS[name];
    return { name, from: utc(Math.floor((now - span) / step) * step), to: null };
  }
  const [from, to] = [timeIn(query.get("from")), timeIn(query.get("to"))];
  return { name: from === null && to === null ? "all" : "custom", from, to };
}

// The range of the address, whose begin moves on with the receiver's clock.
export function useRange(query) {
  return rangeIn(query, useNow(10_000));
}

// What an address says of a range: for `setQuery` and `search`.
export const named = (name) => ({ range: name === "all" ? null : name, from: null, to: null });
export const between = (from, to) => ({ range: null, from, to });

// What the API takes of a range.
export const asked = ({ from, to }) => ({ from, to });

// Whether a run that was active at this time belongs to the range, as the receiver has it.
export function within({ from, to }, activeAt) {
  const at = Date.parse(activeAt);
  return (!from || at >= Date.parse(from)) && (!to || at < Date.parse(to));
}

// The path of another view of this page, with the range of the present address where it has none of its own.
export function carried(path) {
  const [place, search = ""] = path.split("?");
  const here = new URLSearchParams(window.location.search);
  const query = new URLSearchParams(search);
  if (!place.startsWith("/") || NAMES.some((name) => query.has(name))) return path;
  for (const name of NAMES) if (here.has(name)) query.set(name, here.get(name));
  return query.size > 0 ? `${place}?${query}` : place;
}

// Local time for a field of type `datetime-local`, and back.
export function toField(text) {
  if (!text) return "";
  const at = new Date(text);
  return new Date(at.getTime() - at.getTimezoneOffset() * MINUTE).toISOString().slice(0, 19);
}

export const fromField = (text) => (text ? timeIn(text) : null);
