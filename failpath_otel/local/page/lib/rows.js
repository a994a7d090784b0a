// The selection in a list: which row the keys j, k, e and Enter act on.
import { useLayoutEffect, useRef, useState } from "./html.js";
import { useKeys } from "./keyboard.js";

const linkOf = (element) => element?.querySelector("[data-row-link]");

function show(element) {
  linkOf(element)?.focus({ preventScroll: true });
  element.scrollIntoView({ block: "nearest" });
}

// `items` in the order shown, each with its `key`; `failed(item)` is what `e` looks for, `open(item)` what Enter does.
// Returns the selected key, and `row(key)`: the attributes of a row. The row's link bears `data-row-link`. A list in a
// window (lib/virtual.js) keeps the selected row in the document.
export function useRows(items, { failed, open }) {
  const [selected, setSelected] = useState(null);
  const elements = useRef(new Map()).current;
  const awaited = useRef(null);

  const select = (item) => {
    if (item === undefined) return;
    setSelected(item.key);
    const element = elements.get(item.key);
    awaited.current = element === undefined ? item.key : null;
    if (element !== undefined) show(element);
  };
  const at = () => items.findIndex(({ key }) => key === selected);
  const nextFailed = () => {
    const index = at();
    const ahead = [...items.slice(index + 1), ...items.slice(0, Math.max(index, 0))];
    select(ahead.find(failed));
  };
  useKeys({
    j: () => select(items[Math.min(at() + 1, items.length - 1)]),
    k: () => select(items[at() < 0 ? items.length - 1 : Math.max(at() - 1, 0)]),
    e: nextFailed,
    Enter: () => {
      const item = items[at()];
      if (item === undefined) return false;
      open(item);
      return true;
    },
    Esc: () => {
      setSelected(null);
      if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
    },
  });

  // A row that moves in the document loses the focus: what had it before this render gets it back.
  const before = document.activeElement;
  useLayoutEffect(() => {
    if (before !== document.activeElement && before?.isConnected && before.closest("[data-row]")) {
      before.focus({ preventScroll: true });
    }
  });

  // A row out of the window of a long list is in the document only after it was selected.
  useLayoutEffect(() => {
    const element = elements.get(awaited.current);
    if (element === undefined) return;
    awaited.current = null;
    show(element);
  });

  const row = (key) => ({
    "data-row": "",
    "aria-selected": key === selected ? "true" : "false",
    ref: (element) => (element ? elements.set(key, element) : elements.delete(key)),
    onFocusIn: () => setSelected(key),
  });
  return { selected, row };
}
