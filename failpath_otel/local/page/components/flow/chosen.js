// What is chosen in the graph of a flow: a step, a node that stands for several, or one of these.
import { useMemo } from "../../lib/html.js";
import { useResource } from "../../lib/api.js";
import { search } from "../../lib/router.js";
import { isFolded } from "./folded.js";

// The path of the figures of the steps that a node stands for.
export const membersPath = (flowKey, stepKey) => `steps${search({ flow: flowKey, node: stepKey })}`;

// `wanted` is the key in the address. Returns `chosenKey`, which is that key where the graph has it; `chosen`, what has
// the figures; and `keys`, those of all steps that it is about.
export function useChosen(graph, flowKey, wanted) {
  const node = graph.nodes.find(({ stepKey, members }) => stepKey === wanted || members?.includes(wanted)) ?? null;
  const isMember = node !== null && node.stepKey !== wanted;
  const { data } = useResource(isMember ? membersPath(flowKey, node.stepKey) : null);
  const keys = useMemo(() => new Set(node !== null && !isMember && isFolded(node) ? node.members : [wanted]), [node, wanted]);
  const chosen = isMember ? (data?.steps.find(({ stepKey }) => stepKey === wanted) ?? null) : node;
  return { chosen, chosenKey: node === null ? null : wanted, keys };
}
