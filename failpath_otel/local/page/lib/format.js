// Durations, times, rates and counts as text.
export const NONE = "–";

const missing = (value) => value === null || value === undefined || Number.isNaN(value);
const padded = (number, digits = 2) => String(number).padStart(digits, "0");

export function duration(ms) {
  if (missing(ms)) return NONE;
  if (ms < 0) return "0 ms";
  if (ms < 10) return `${Number(ms.toFixed(1))} ms`;
  if (ms < 999.5) return `${Math.round(ms)} ms`;
  if (ms < 9_995) return `${(ms / 1000).toFixed(2)} s`;
  if (ms < 59_950) return `${(ms / 1000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d ${Math.floor((minutes % 1440) / 60)} h`;
}

export function time(text) {
  if (!text) return NONE;
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return NONE;
  return (
    `${padded(date.getHours())}:${padded(date.getMinutes())}:${padded(date.getSeconds())}` +
    `.${padded(date.getMilliseconds(), 3)}`
  );
}

// With the day, in local time, for tooltips.
export function dateTime(text) {
  if (!text) return NONE;
  const date = new Date(text);
  if (Number.isNaN(date.getTime())) return NONE;
  return `${date.getFullYear()}-${padded(date.getMonth() + 1)}-${padded(date.getDate())} ${time(text)}`;
}

// The time alone where the day is today's, else with the day and the time zone; `now` in milliseconds.
export function clock(text, now) {
  const date = new Date(text ?? Number.NaN);
  if (isToday(date, now) || Number.isNaN(date.getTime())) return time(text);
  return `${dateTime(text)} ${zone(date)}`;
}

export const isToday = (date, now) => date.toDateString() === new Date(now).toDateString();

// What is to be added to UTC for the local time at a date: "UTC+5:30".
export function zone(date) {
  const minutes = -date.getTimezoneOffset();
  if (minutes === 0) return "UTC";
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60];
  return `UTC${minutes < 0 ? "\u2212" : "+"}${hours}${rest === 0 ? "" : `:${padded(rest)}`}`;
}

export function ago(text, now) {
  if (!text) return NONE;
  const seconds = Math.floor((now - Date.parse(text)) / 1000);
  if (Number.isNaN(seconds)) return NONE;
  if (seconds < 1) return "just now";
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
  return `${Math.floor(seconds / 86_400)} d ago`;
}

export function rate(share) {
  if (missing(share)) return NONE;
  const percent = share * 100;
  return `${Number.isInteger(percent) ? percent : percent.toFixed(1)} %`;
}

export const count = (number) => (missing(number) ? NONE : number.toLocaleString("en-US"));

export const plural = (number, one, many = `${one}s`) => `${count(number)} ${number === 1 ? one : many}`;

// Of what still runs: it grows, so it shows no more digits than can be read.
export function elapsed(ms) {
  if (missing(ms)) return NONE;
  if (ms < 59_950) return `${(Math.max(0, ms) / 1000).toFixed(1)} s`;
  return duration(ms);
}
