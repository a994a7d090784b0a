// Characters that change the direction of text, as escapes wherever they would be shown: a name must not be read as
// another one. Here and not where texts are rendered, because they come from everywhere; the observer is called before
// anything is painted.
const STEERING = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
const ATTRIBUTES = ["title", "aria-label", "alt", "placeholder"];

export const escaped = (text) =>
  text.replace(STEERING, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);

function showText(node) {
  const shown = escaped(node.data);
  if (shown !== node.data) node.data = shown;
}

function showAttribute(element, name) {
  const text = element.getAttribute(name);
  if (text !== null && escaped(text) !== text) element.setAttribute(name, escaped(text));
}

function show(node) {
  if (node.nodeType === Node.TEXT_NODE) showText(node);
  else if (node.nodeType === Node.ELEMENT_NODE) {
    for (const name of ATTRIBUTES) showAttribute(node, name);
    for (const child of node.childNodes) show(child);
  }
}

export function showDirections() {
  const observer = new MutationObserver((changes) => {
    for (const change of changes) {
      if (change.type === "characterData") showText(change.target);
      else if (change.type === "attributes") showAttribute(change.target, change.attributeName);
      else for (const node of change.addedNodes) show(node);
    }
  });
  observer.observe(document, {
    childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES, subtree: true,
  });
}
