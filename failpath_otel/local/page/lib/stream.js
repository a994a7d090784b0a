// What the page knows of the stream: what has changed, whether it is connected, and the receiver's clock.
import { useEffect, useRef, useState } from "./html.js";
import { Source } from "./source.js";

const CLOCK_JITTER = 250;
const subscribers = new Set();
const watchers = new Set();
let connection = "connecting";
let offset = 0;
let known = false;

function setClock(value) {
  if (!known || Math.abs(value - offset) > CLOCK_JITTER) offset = value;
  known = true;
}

function receive(message) {
  if (message.offset !== undefined) setClock(message.offset);
  if (message.type === "state") {
    connection = message.state;
    for (const watcher of watchers) watcher(connection);
  } else if (message.type === "hello") {
    // What a view has loaded may be older than where the stream begins or goes on: it could not load a change
    // if the receiver ended in between. One whose data has this revision is up to date.
    notify({ revision: message.revision, count: 0, rows: [], more: true });
  } else if (message.type === "changes") {
    notify(message);
  } else if (message.type === "reset") {
    for (const subscriber of subscribers) subscriber.onReset?.();
  }
}

function notify({ revision, count, rows, more }) {
  for (const subscriber of subscribers) subscriber.onChanges?.({ revision, count, rows, more });
}

function connectAlone() {
  const source = new Source(receive);
  source.open();
  window.addEventListener("pagehide", () => source.close());
  window.addEventListener("pageshow", (event) => event.persisted && source.open());
  return () => source.hurry();
}

function connectShared() {
  let alone = null;
  const script = new URL("./stream-worker.js", import.meta.url);
  const worker = new SharedWorker(script, { type: "module", name: "failpath-1" });
  worker.onerror = () => {
    alone ??= connectAlone();
  };
  const { port } = worker;
  port.onmessage = ({ data }) => alone ?? receive(data);
  const lock = navigator.locks ? `failpath-tab-${crypto.randomUUID()}` : null;
  if (lock === null) port.postMessage({ type: "join", lock });
  else {
    navigator.locks.request(lock, () => {
      port.postMessage({ type: "join", lock });
      return new Promise(() => {}); // Held for as long as the tab lives.
    });
  }
  window.addEventListener("pagehide", () => port.postMessage({ type: "leave" }));
  window.addEventListener("pageshow", (event) => event.persisted && port.postMessage({ type: "join", lock: null }));
  return () => (alone === null ? port.postMessage({ type: "hurry" }) : alone());
}

let hurry = null;

function connect() {
  if (hurry !== null) return;
  try {
    hurry = connectShared();
  } catch {
    hurry = connectAlone();
  }
  window.addEventListener("online", hurry);
  document.addEventListener("visibilitychange", () => document.hidden || hurry());
}

// `onChanges({revision, count, rows, more})`: with `more` the rows are not all there is, and a view loads itself again,
// unless its data has that revision. `onReset()`: history has changed, all that is shown has to be loaded again.
export function useStream(onChanges, onReset) {
  const subscriber = useRef({}).current;
  subscriber.onChanges = onChanges;
  subscriber.onReset = onReset;
  useEffect(() => {
    subscribers.add(subscriber);
    connect();
    return () => subscribers.delete(subscriber);
  }, []);
}

export function useConnection() {
  const [state, setState] = useState(connection);
  useEffect(() => {
    watchers.add(setState);
    setState(connection);
    connect();
    return () => watchers.delete(setState);
  }, []);
  return state;
}

export function serverNow() {
  return Date.now() + offset;
}

export function useNow(intervalMs) {
  const [now, setNow] = useState(serverNow);
  useEffect(() => {
    if (!intervalMs) return undefined;
    let timer = null;
    const tick = () => setNow(serverNow());
    const follow = () => {
      clearInterval(timer);
      if (document.hidden) return;
      tick();
      timer = setInterval(tick, intervalMs);
    };
    follow();
    document.addEventListener("visibilitychange", follow);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", follow);
    };
  }, [intervalMs]);
  return now;
}
