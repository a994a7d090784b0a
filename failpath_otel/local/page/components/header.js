// The header: where one is, whether the page is connected, the theme, and the help.
import { html, useEffect, useState } from "../lib/html.js";
import { NoticesButton } from "./actions/notices.js";
import { Link } from "../lib/router.js";
import { useConnection } from "../lib/stream.js";

const CONNECTION = { connected: "Live", connecting: "Connecting", lost: "Reconnecting" };
const THEMES = ["system", "light", "dark"];
const DARK = window.matchMedia("(prefers-color-scheme: dark)");
const STORED = "failpath-theme";

function storedTheme() {
  try {
    const theme = localStorage.getItem(STORED);
    return THEMES.includes(theme) ? theme : "system";
  } catch {
    return "system";
  }
}

// From the system's to the other one, then to the same by choice: the first click is always seen.
function nextTheme(theme) {
  const turns = DARK.matches ? ["system", "light", "dark"] : ["system", "dark", "light"];
  return turns[(turns.indexOf(theme) + 1) % turns.length];
}

function applyTheme(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
}

function Logo() {
  return html`<svg class="logo" viewBox="0 0 32 32" width="22" height="22" aria-hidden="true">
    <rect width="32" height="32" rx="8" class="logo-ground" />
    <path d="M8 16h6c4 0 3-6 9-6M14 16c3 0 3.5 2.5 5.5 4.5m.5-.5 5 5m0-5-5 5" class="logo-line" />
    <circle cx="8" cy="16" r="2.6" class="logo-dot" /><circle cx="24" cy="10" r="2.6" class="logo-dot" />
  </svg>`;
}

const THEME_ICONS = {
  system: () => html`<rect x="2" y="3" width="12" height="8.5" rx="1.5" /><path d="M6 14h4" />`,
  light: () => html`<circle cx="8" cy="8" r="3" />
    <path d="M8 1.5v1.5m0 10v1.5M1.5 8H3m10 0h1.500M3.4 3.400l1.1 1.100m7 7 1.1 1.100m0-9.2-1.1 1.100m-7 7-1.1 1.1" />`,
  dark: () => html`<path d="M13.5 9.500A6 6 0 0 1 6.5 2.500a6 6 0 1 0 7 7z" />`,
};

function Theme() {
  const [theme, setTheme] = useState(storedTheme);
  useEffect(() => applyTheme(theme), [theme]);
  useEffect(() => {
    // What another tab has chosen holds here too.
    const follow = (event) => event.key === STORED && setTheme(storedTheme());
    window.addEventListener("storage", follow);
    return () => window.removeEventListener("storage", follow);
  }, []);
  const turn = () => {
    const next = nextTheme(theme);
    try {
      localStorage.setItem(STORED, next);
    } catch {
      // Without storage it holds for this tab.
    }
    setTheme(next);
  };
  const label = `Theme: ${theme}`;
  return html`<button type="button" class="icon-button" data-testid="theme" data-theme-choice=${theme}
    onClick=${turn} aria-label=${label} title=${label}>
    <svg viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" class="line-icon">${THEME_ICONS[theme]()}</svg>
  </button>`;
}

function Connection() {
  const state = useConnection();
  return html`<span class="connection" role="status" data-testid="connection" data-state=${state}>
    <span class="connection-dot" aria-hidden="true"></span><span class="connection-word">${CONNECTION[state]}</span>
  </span>`;
}

export function Header({ room, readOnly, onHelp }) {
  const current = (here) => (here ? "page" : undefined);
  return html`<header class="top">
    <${Link} href="/" class="brand" aria-label="Failpath, all flows">
      <${Logo} /><span class="brand-name">Failpath</span>
    <//>
    <nav class="top-nav" aria-label="Views">
      <${Link} href="/" aria-current=${current(room === undefined || room === "flows")}>Flows<//>
      <${Link} href="/runs" aria-current=${current(room === "runs")}>Runs<//>
    </nav>
    <div class="top-end">
      ${readOnly && html`<span class="read-only" data-testid="read-only" title="It takes no events, and nothing can be changed">Read-only</span>`}
      <${Connection} />
      <${NoticesButton} />
      <${Theme} />
      <button type="button" class="icon-button" data-testid="help" onClick=${onHelp} aria-label="Keyboard help"
        title="Keyboard help (?)"><span aria-hidden="true">?</span></button>
    </div>
  </header>`;
}
