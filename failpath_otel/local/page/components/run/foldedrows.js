// The rows of the waterfall: all of a run, or those that are asked for; which of them are folded, and the ways to fold them.
import { useCallback, useLayoutEffect, useMemo, useRef, useState } from "../../lib/html.js";
import { inTime, isFailed, nameOf } from "../../lib/attempts.js";
import { around, flat, nest, unfolded } from "./nesting.js";

// Returns `rows`, all `steps` in their order, those that `failed`, whether the rows are a `tree`, the names of the
// `folded` ones, and `fold(name, state)`. `ascend()` folds the selected row or goes to the one around it; `descend()`
// unfolds it or goes to the first inside it; both return whether there is a selected row.
export function useFoldedRows(run, { onlyFailed, wanted, labels, selected, onSelect }) {
  const [folded, setFolded] = useState(() => new Set());
  const inOrder = useMemo(() => inTime(run.steps), [run]);
  const nested = useMemo(() => nest(inOrder), [inOrder]);
  const steps = useMemo(() => (nested === null ? inOrder : nested.map(({ step }) => step)), [inOrder, nested]);
  const failed = useMemo(() => steps.filter(isFailed), [steps]);
  const tree = nested !== null && !onlyFailed && wanted === "";
  const rows = useMemo(() => {
    if (tree) return unfolded(nested, folded);
    const some = onlyFailed ? failed : steps;
    return flat(wanted === "" ? some : some.filter((step) => holds(step, labels, wanted)));
  }, [steps, folded, tree, onlyFailed, wanted, labels]);

  const unfold = (names) => setFolded((before) => new Set([...before].filter((name) => !names.includes(name))));
  const fold = useCallback((name, state) => (state ? setFolded((before) => new Set([...before, name])) : unfold([name])), []);

  // A step that is chosen from elsewhere is not left in what is folded; one that is folded away is no longer chosen.
  const chosen = selected === null ? null : nameOf(selected);
  const last = useRef(null);
  useLayoutEffect(() => {
    const hiding = tree && chosen !== null ? around(nested, chosen).filter((name) => folded.has(name)) : [];
    if (hiding.length > 0 && last.current !== chosen) unfold(hiding);
    else if (hiding.length > 0) onSelect(nested.find(({ name }) => name === hiding.at(-1)).step, { replace: true });
    last.current = chosen;
  }, [tree, chosen, folded, nested]);

  const here = () => rows.find(({ name }) => name === chosen) ?? null;
  const ascend = () => {
    const row = here();
    if (row?.inside > 0 && !folded.has(row.name)) fold(row.name, true);
    else if (row?.above) onSelect(row.above.step, { replace: true });
    return row !== null;
  };
  const descend = () => {
    const row = here();
    if (row?.inside > 0 && folded.has(row.name)) fold(row.name, false);
    else if (row?.inside > 0) onSelect(rows[rows.indexOf(row) + 1].step, { replace: true });
    return row !== null;
  };
  return { rows, steps, failed, tree, folded, fold, ascend, descend };
}

function holds(step, labels, wanted) {
  const texts = [step.stepKey, labels.get(step.stepKey), step.error?.name, step.error?.message];
  return texts.some((text) => text?.toLowerCase().includes(wanted));
}
