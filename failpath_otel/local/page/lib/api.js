// The JSON API of the receiver: one request, and a resource that a view shows and loads again.
import { useCallback, useEffect, useRef, useState } from "./html.js";

const REMEMBERED = 24;
const RETRY_MS = 2000;
const SHARE = 3; // What takes long to answer is asked for more rarely, so that it takes at most a third of the time,
const LONGEST_MS = 3000; // but no more rarely than this.
const remembered = new Map(); // Newest answers by path, so that going back shows something at once.

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.name = "ApiError";
    this.status = status;
  }
}

async function request(method, path, signal, body) {
  const url = path.startsWith("/") ? path : `/api/page/${path}`;
  let response;
  try {
    const headers = { Accept: "application/json", ...(body && { "Content-Type": "application/json" }) };
    response = await fetch(url, { method, signal, headers, body, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "the receiver cannot be reached");
  }
  const answer = await response.json().catch(() => null);
  if (!response.ok) throw new ApiError(response.status, answer?.error ?? `the receiver answered ${response.status}`);
  return answer;
}

export const get = (path, { signal } = {}) => request("GET", path, signal);

export const send = (method, path, body) => request(method, path, undefined, body);

function remember(path, data) {
  remembered.delete(path);
  remembered.set(path, data);
  if (remembered.size > REMEMBERED) remembered.delete(remembered.keys().next().value);
}

export function forget() {
  remembered.clear();
}

// Loads `path` and again whenever it changes. The data shown stays while newer is on its way, as long as `key` (of what
// it is about; the path where it is not given) stays; `of` is the path that it answers.
// `reloadSoon` is for the stream: at most once in `every` ms. What the receiver could not answer is asked for again,
// because the stream does not tell the same change twice; when there is no receiver, the stream's next greeting does.
export function useResource(path, { key = path, every = 500 } = {}) {
  const [shown, setShown] = useState({ key, data: remembered.get(path) ?? null, of: path, error: null, loading: true });
  const own = useRef({ path, inFlight: null, again: false, timer: null, loadedAt: 0, took: 0 }).current;

  const load = useCallback(async () => {
    if (own.path === null) return;
    if (own.inFlight) {
      own.again = true;
      return;
    }
    const controller = new AbortController();
    own.inFlight = controller;
    own.loadedAt = performance.now();
    setShown((before) => ({ ...before, loading: true }));
    const asked = own.path;
    let result = null;
    try {
      const data = await get(asked, { signal: controller.signal });
      remember(asked, data);
      result = { data, of: asked, error: null };
    } catch (error) {
      if (controller.signal.aborted) return;
      result = { error };
    }
    if (controller.signal.aborted) return;
    own.inFlight = null;
    own.took = performance.now() - own.loadedAt;
    setShown((before) => ({ ...before, ...result, loading: own.again }));
    if (own.again) {
      own.again = false;
      load();
    } else if (result.error?.status >= 500) own.timer ??= setTimeout(onTimer, RETRY_MS);
  }, []);

  const onTimer = useCallback(() => {
    own.timer = null;
    load();
  }, []);

  const reloadSoon = useCallback(() => {
    if (own.timer !== null) return;
    const interval = Math.max(every, Math.min(SHARE * own.took, LONGEST_MS), document.hidden ? 2000 : 0);
    const wait = Math.max(0, own.loadedAt + interval - performance.now());
    own.timer = setTimeout(onTimer, wait);
  }, [every]);

  useEffect(() => {
    own.path = path;
    setShown((before) => {
      const known = remembered.get(path);
      const kept = known === undefined && before.key === key && before.data !== null;
      const next = kept ? { data: before.data, of: before.of } : { data: known ?? null, of: path };
      return { key, ...next, error: null, loading: path !== null };
    });
    load();
    return () => {
      own.inFlight?.abort();
      own.inFlight = null;
      own.again = false;
      clearTimeout(own.timer);
      own.timer = null;
    };
  }, [path, key]);

  // Until the effect above has run for a new key, what is shown still belongs to the old one.
  const data = shown.key === key ? shown.data : (remembered.get(path) ?? null);
  return { data, of: shown.of, error: shown.error, loading: shown.loading, reload: load, reloadSoon };
}
