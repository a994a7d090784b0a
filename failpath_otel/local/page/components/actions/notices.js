// The browser's own notices, asked for by a click: a kind of error that is new, a flow's first failure after good runs, a
// process that is gone. Of several tabs one notifies; each kind at most once in a while for each flow.
import { html, useEffect, useState } from "../../lib/html.js";
import { get } from "../../lib/api.js";
import { current, navigate, runPath, search } from "../../lib/router.js";
import { escaped } from "../../lib/shell/bidi.js";
import { useStream } from "../../lib/stream.js";

const STORED = "failpath-notices";
const QUIET_MS = 5 * 60_000;
const LOOK_MS = 1000;
const RETRY_MS = 5000;
const MOST = 3; // Notices of one look.
const REMEMBERED = 500;

const TITLES = {
  "new-error": ({ flowKey }) => `New error in ${flowKey}`,
  "first-failure": ({ flowKey }) => `${flowKey} fails again`,
  gone: ({ flowKey }) => `A process of ${flowKey} is gone`,
};

const supported = () => "Notification" in window && window.isSecureContext && Boolean(navigator.locks);

function wanted() {
  try {
    return localStorage.getItem(STORED) === "on";
  } catch {
    return false;
  }
}

function stateNow() {
  if (!supported()) return "unsupported";
  if (Notification.permission === "denied") return "denied";
  return wanted() && Notification.permission === "granted" ? "on" : "off";
}

function store(on) {
  try {
    localStorage.setItem(STORED, on ? "on" : "off");
    return true;
  } catch {
    return false;
  }
}

// What each tab has in front of its user, so that none is told of what is being looked at.
const channel = "BroadcastChannel" in window ? new BroadcastChannel("failpath-looking") : null;
const own = crypto.randomUUID?.() ?? String(Math.random());
const looking = new Map();

function here() {
  const { segments, query } = current();
  const [room, ...id] = segments;
  const seen = document.visibilityState === "visible" && document.hasFocus() && room === "runs" && id.length > 0;
  return seen ? { runId: id.join("/"), flowKey: query.get("flow") } : null;
}

function show() {
  channel?.postMessage({ tab: own, at: here() });
}

if (channel) {
  channel.onmessage = ({ data }) => {
    if (data.ask) show();
    else if (data.at === null) looking.delete(data.tab);
    else looking.set(data.tab, data.at);
  };
  for (const name of ["focus", "blur", "pagehide", "popstate"]) window.addEventListener(name, () => setTimeout(show));
  document.addEventListener("visibilitychange", show);
}

function isLookedAt({ runId, flowKey }) {
  return [here(), ...looking.values()].some((at) => at?.runId === runId && (at.flowKey === null || at.flowKey === flowKey));
}

// The tab that notifies: what it knew when it began is no news.
class Notifier {
  constructor(onReady) {
    this.onReady = onReady;
    this.cursor = null;
    this.gone = new Set();
    this.last = new Map();
    this.timer = null;
    this.ended = false;
    channel?.postMessage({ ask: true });
    this.look();
  }

  soon() {
    if (this.timer === null && !this.ended) this.timer = setTimeout(() => this.look(), LOOK_MS);
  }

  end() {
    this.ended = true;
    clearTimeout(this.timer);
  }

  async look() {
    let answer;
    try {
      answer = await get(`notices${search({ after: this.cursor })}`);
    } catch {
      answer = null;
    }
    this.timer = null;
    if (answer === null) setTimeout(() => this.soon(), RETRY_MS);
    if (this.ended || answer === null) return;
    const first = this.cursor === null;
    this.cursor = answer.cursor;
    const lost = answer.gone.filter((run) => !this.gone.has(keyOf(run)));
    this.gone = new Set(answer.gone.map(keyOf));
    if (first) {
      this.onReady();
      this.soon();
      return;
    }
    const all = [...answer.notices, ...lost.map((run) => ({ kind: "gone", about: "", stepKey: null, text: null, ...run }))];
    all.filter((notice) => this.isDue(notice)).slice(0, MOST).forEach(notify);
  }

  isDue(notice) {
    if (isLookedAt(notice)) return false;
    const now = Date.now();
    const key = `${notice.kind}\n${notice.flowKey}`;
    if (now - (this.last.get(key) ?? -Infinity) < QUIET_MS) return false;
    this.last.delete(key);
    this.last.set(key, now);
    if (this.last.size > REMEMBERED) this.last.delete(this.last.keys().next().value);
    return true;
  }
}

const keyOf = ({ flowKey, runId }) => `${flowKey}\n${runId}`;

function notify(notice) {
  const { kind, flowKey, runId, stepKey, text } = notice;
  const body = [stepKey === null ? runId : `${runId}, ${stepKey}`, text].filter(Boolean).join("\n").slice(0, 300);
  const shown = new Notification(escaped(TITLES[kind](notice)), { body: escaped(body), tag: `failpath ${kind} ${flowKey}`, icon: "/page/icon.svg" });
  shown.onclick = () => {
    window.focus();
    navigate(runPath(runId, flowKey, { step: stepKey }));
    shown.close();
  };
}

const WORDS = {
  on: "Notices are on: new errors, a flow's first failure, a process that is gone. Turn them off",
  off: "Notify me of new errors, a flow's first failure, a process that is gone",
  denied: "The browser does not allow notices of this page; its settings do",
};

export function NoticesButton() {
  const [state, setState] = useState(stateNow);
  const [notifier, setNotifier] = useState(null);
  useStream(() => notifier?.soon(), () => notifier?.soon());
  useEffect(() => {
    const follow = (event) => event.key === STORED && setState(stateNow());
    window.addEventListener("storage", follow);
    return () => window.removeEventListener("storage", follow);
  }, []);
  useEffect(show); // The address may have changed.
  useEffect(() => {
    if (state !== "on") return undefined;
    const controller = new AbortController();
    let mine = null;
    const hold = () => new Promise((release) => {
      mine = new Notifier(() => setNotifier(mine));
      controller.signal.addEventListener("abort", release);
    });
    navigator.locks.request("failpath-notices", { signal: controller.signal }, hold).catch(() => {}); // Turned off meanwhile.
    return () => {
      controller.abort();
      mine?.end();
      setNotifier(null);
    };
  }, [state]);

  if (state === "unsupported") return null;
  const turn = async () => {
    if (state === "on") {
      store(false);
      setState("off");
      return;
    }
    const permission = Notification.permission === "default" ? await Notification.requestPermission() : Notification.permission;
    if (permission === "granted") setState(store(true) ? "on" : "off");
    else if (permission === "denied") setState("denied");
  };
  return html`<button type="button" class="icon-button" data-testid="notices" data-state=${state} data-holds=${notifier ? "true" : "false"}
    aria-pressed=${state === "on" ? "true" : "false"} aria-label=${WORDS[state]} title=${WORDS[state]} onClick=${turn}>
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="line-icon">
      <path d="M8 2.500a3.700 3.700 0 0 0-3.700 3.700c0 3.200-1.300 4.300-1.300 4.300h10s-1.300-1.100-1.300-4.300A3.700 3.700 0 0 0 8 2.500zM6.800 12.800a1.300 1.300 0 0 0 2.400 0" />
      ${state === "on" && html`<circle cx="12.300" cy="3.700" r="2.200" class="notices-dot" />`}
      ${state === "denied" && html`<path d="m2.500 2.500 11 11" />`}
    </svg>
    ${state === "denied" && html`<span class="visually-hidden" role="status">${WORDS.denied}</span>`}
  </button>`;
}
