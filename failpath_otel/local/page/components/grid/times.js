// Times as the grid has room for them: hours and minutes, with the day where that is not today's.
import { serverNow } from "../../lib/stream.js";

const padded = (number) => String(number).padStart(2, "0");

export const clock = (date) => `${padded(date.getHours())}:${padded(date.getMinutes())}`;

export const day = (date) => `${padded(date.getMonth() + 1)}-${padded(date.getDate())}`;

export function since(text) {
  const date = new Date(text);
  const today = new Date(serverNow()).toDateString() === date.toDateString();
  return today ? clock(date) : `${day(date)} ${clock(date)}`;
}

// The labels of columns by their places: as many as have room, the newest first.
export function labelsOf(runs, every) {
  const found = new Map();
  const today = new Date(serverNow()).toDateString();
  let before = null;
  const places = [];
  for (let place = runs.length - every; place >= 0; place -= every) places.unshift(place);
  for (const place of places) {
    const date = new Date(runs[place].startedAt);
    const other = date.toDateString() !== (before ?? today);
    found.set(place, other ? `${day(date)} ${clock(date)}` : clock(date));
    before = date.toDateString();
  }
  return found;
}
