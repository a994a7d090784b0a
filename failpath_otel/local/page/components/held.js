// What is under the pointer, or has the focus, stays where it is: what a part shows is held meanwhile.
import { useRef, useState } from "../lib/html.js";

// Whether the pointer or the focus is in an element, and the attributes that the element needs for that.
export function useHolding() {
  const [inside, setInside] = useState({ pointer: false, focus: false });
  const note = (name, value) => () => setInside((before) => (before[name] === value ? before : { ...before, [name]: value }));
  const attributes = {
    onPointerEnter: note("pointer", true),
    onPointerLeave: note("pointer", false),
    onFocusIn: note("focus", true),
    onFocusOut: note("focus", false),
  };
  return [inside.pointer || inside.focus, attributes];
}

// The value; while `held`, what it was when that began.
export function useHeld(value, held) {
  const shown = useRef(value);
  if (!held) shown.current = value;
  return shown.current;
}

// The rows; while `held`, those of when that began, in the same places, with what is known of them now.
export function useHeldRows(rows, keyOf, held) {
  const before = useHeld(rows, held);
  if (before === rows) return rows;
  const fresh = new Map(rows.map((row) => [keyOf(row), row]));
  return before.map((row) => fresh.get(keyOf(row)) ?? row);
}
