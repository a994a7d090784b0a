// The window on the drawing of a graph: how large it is drawn and which part is in sight, by mouse, touch and keyboard.
// The drawing scrolls in its box, so that a wheel without Ctrl scrolls on to the page as anywhere else.
import { useEffect, useLayoutEffect, useRef, useState } from "../../lib/html.js";

const PADDING = 16; // Of the box, left and right together.
const LEAST_HEIGHT = 240; // Of the box once its drawing has been made larger.
const LARGEST = 3;
const STEP = 1.25;
const PAN = 80;
const DRAGGED = 4; // Pixels from which on a press is no click.

// Text is as much larger in the drawing as the drawing is smaller than its usual size, in steps: each of these is the
// least scale of its step. Nodes show all that they have down to FULL, and below it what matters most.
const STEPS = [0.921, 0.853, 0.8, 0.66, 0.55, 0.46, 0.4];
const FULL = 0.8;
const SMALLEST = STEPS.at(-1);
const TEXT = 12; // Units of the drawing.
const LEAST_TEXT = 11.05; // Pixels. The width of a drawing is rounded to a part of one.

const within = (value, least, most) => Math.min(Math.max(value, least), most);

// The size of text in units of the drawing, and whether there is room for no more than what matters most.
export function textAt(scale) {
  const least = STEPS.find((step) => scale >= step) ?? SMALLEST;
  return { size: least === STEPS[0] ? TEXT : LEAST_TEXT / least, isBrief: scale < FULL };
}

// `graph` has a width and a height. Returns `box` (the ref of what scrolls), `scale`, `held` (the box's height, once it
// is fixed), and `zoomIn`, `zoomOut`, `fit`, `normal`, `onKeyDown`, `show(area)`, `sight()`.
export function useViewport(graph) {
  const box = useRef(null);
  const [room, setRoom] = useState(null);
  const [zoom, setZoom] = useState(null); // null: as large as it should be where nothing was chosen.
  const [held, setHeld] = useState(null);
  const usual = room === null || room >= graph.width ? 1 : room / graph.width;
  const scale = zoom ?? (usual >= FULL ? usual : 1);
  const own = useRef({ anchor: null, then: null }).current;
  own.graph = graph;
  own.room = room;
  own.wanted = scale;

  useLayoutEffect(() => {
    own.drawn = scale;
    place(box.current, own);
    own.then?.();
    own.then = null;
  }, [scale]);

  useLayoutEffect(() => {
    const measure = () => setRoom(box.current.clientWidth - PADDING);
    measure();
    const watcher = new ResizeObserver(measure);
    watcher.observe(box.current);
    return () => watcher.disconnect();
  }, []);

  // `at`: the point on the screen that stays where it is; `of`, where it is given, the point of the drawing that goes there.
  const zoomTo = (next, at = middleOf(box.current), of = pointAt(box.current, own.drawn, at)) => {
    own.anchor = { at, of };
    const wanted = within(next, SMALLEST, LARGEST);
    if (wanted === own.wanted) return place(box.current, own);
    // The box stays as high as it is, so that nothing below it moves with each turn of a wheel.
    setHeld((before) => Math.max(before ?? box.current.offsetHeight, wanted > 1 ? LEAST_HEIGHT : 0));
    own.wanted = wanted;
    setZoom(wanted);
  };
  own.zoomTo = zoomTo;

  const by = (factor, at) => {
    const next = own.wanted * factor;
    zoomTo((own.wanted - 1) * (next - 1) < 0 ? 1 : next, at); // A step does not leap over the usual size.
  };
  const zoomIn = (at) => by(STEP, at);
  const zoomOut = (at) => by(1 / STEP, at);
  const normal = () => {
    setZoom(null);
    own.anchor = { at: middleOf(box.current), of: pointAt(box.current, own.drawn, middleOf(box.current)) };
  };
  // As much of the whole as there is room for. `then` runs when it is drawn like that.
  const fit = (then = null) => {
    const height = box.current.clientHeight - PADDING / 2;
    const next = within(Math.min(own.room / graph.width, height / graph.height, 1), SMALLEST, 1);
    if (next === own.wanted) return then?.();
    own.then = then;
    zoomTo(next);
  };

  const onKeyDown = (event, toFit) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const node = event.target.closest(".node");
    const at = node === null ? undefined : centreOf(node.getBoundingClientRect());
    const zooming = { "+": zoomIn, "=": zoomIn, "-": zoomOut, _: zoomOut, 0: toFit }[event.key];
    if (zooming) zooming(at);
    else if (node !== null || !pan(box.current, event.key)) return;
    event.preventDefault();
  };

  useGestures(box, own);

  // Brings an area of the drawing into sight, where it is not; of one that is larger than the box, its middle.
  const show = ({ left, top, right, bottom }) => {
    const element = box.current;
    const outer = element.getBoundingClientRect();
    const inner = element.firstElementChild.getBoundingClientRect();
    const x = (value) => inner.left + value * own.drawn - outer.left;
    const y = (value) => inner.top + value * own.drawn - outer.top;
    if (x(left) < 0 || x(right) > element.clientWidth) element.scrollLeft += x((left + right) / 2) - element.clientWidth / 2;
    if (y(top) < 0 || y(bottom) > element.clientHeight) element.scrollTop += y((top + bottom) / 2) - element.clientHeight / 2;
  };
  const sight = () => ({ width: box.current.clientWidth / own.drawn, height: box.current.clientHeight / own.drawn });

  return { box, measured: room !== null, scale, held, zoomIn, zoomOut, fit, normal, onKeyDown, show, sight };
}

const centreOf = ({ left, top, width, height }) => [left + width / 2, top + height / 2];

const middleOf = (box) => centreOf(box.getBoundingClientRect());

// The point of the drawing that is at a point of the screen.
function pointAt(box, scale, [x, y]) {
  const drawing = box.firstElementChild.getBoundingClientRect();
  return [(x - drawing.left) / scale, (y - drawing.top) / scale];
}

// Scrolls so that the anchor is where it should be.
function place(box, own) {
  if (own.anchor === null || own.wanted !== own.drawn) return;
  const { at, of } = own.anchor;
  own.anchor = null;
  const drawing = box.firstElementChild.getBoundingClientRect();
  box.scrollLeft += drawing.left + of[0] * own.drawn - at[0];
  box.scrollTop += drawing.top + of[1] * own.drawn - at[1];
}

// Returns whether there was anything to see on that side; where not, the page scrolls.
function pan(box, key) {
  const [x, y] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key] ?? [0, 0];
  const before = [box.scrollLeft, box.scrollTop];
  box.scrollLeft += x * PAN;
  box.scrollTop += y * PAN;
  return box.scrollLeft !== before[0] || box.scrollTop !== before[1];
}

function useGestures(box, own) {
  useEffect(() => {
    const element = box.current;
    const wheel = (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault(); // The browser would zoom the whole page.
      const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 16 : event.deltaY;
      own.zoomTo(own.wanted * Math.exp(-within(pixels, -24, 24) / 100), [event.clientX, event.clientY]);
    };

    // One finger scrolls as the browser does it; two zoom, and what is between them stays between them.
    let pinch = null;
    const spread = ([a, b]) => Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY) || 1;
    const between = ([a, b]) => [(a.clientX + b.clientX) / 2, (a.clientY + b.clientY) / 2];
    const touch = (event) => {
      if (event.touches.length !== 2) {
        pinch = null;
        return;
      }
      if (event.cancelable) event.preventDefault();
      pinch ??= { spread: spread(event.touches), scale: own.wanted, of: pointAt(element, own.drawn, between(event.touches)) };
      own.zoomTo((pinch.scale * spread(event.touches)) / pinch.spread, between(event.touches), pinch.of);
    };

    let grab = null;
    const press = (event) => {
      const more = element.scrollWidth > element.clientWidth || element.scrollHeight > element.clientHeight;
      if (event.pointerType !== "mouse" || event.button !== 0 || !more) return;
      grab = { x: event.clientX, y: event.clientY, left: element.scrollLeft, top: element.scrollTop };
    };
    const drag = (event) => {
      if (grab === null) return;
      const [x, y] = [event.clientX - grab.x, event.clientY - grab.y];
      if (!element.hasPointerCapture(event.pointerId)) {
        if (Math.hypot(x, y) < DRAGGED) return;
        element.setPointerCapture(event.pointerId); // From here on the press is no click on a node.
        element.classList.add("graph-dragged");
      }
      element.scrollLeft = grab.left - x;
      element.scrollTop = grab.top - y;
    };
    const release = () => {
      grab = null;
      element.classList.remove("graph-dragged");
    };

    const listeners = {
      wheel, touchstart: touch, touchmove: touch, touchend: touch, touchcancel: touch,
      pointerdown: press, pointermove: drag, pointerup: release, pointercancel: release,
    };
    for (const [name, listener] of Object.entries(listeners)) element.addEventListener(name, listener, { passive: false });
    return () => {
      for (const [name, listener] of Object.entries(listeners)) element.removeEventListener(name, listener);
    };
  }, []);
}
