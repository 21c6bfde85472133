/** The frame around every page. */

import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import { render } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { key, keyWanted, online, setKey } from "./api";
import { useKept } from "./hooks";
import { Jobs } from "./jobs";
import { place, to } from "./router";
import type { ComponentType } from "preact";

type Theme = "auto" | "light" | "dark";
const NEXT: Record<Theme, Theme> = { auto: "dark", dark: "light", light: "auto" };

/** Pages beyond the first are fetched when they are first gone to, with the chart that they need. */
const LATER: Record<string, () => Promise<ComponentType>> = {
  jobs: async () => (await import("./job")).JobPage,
  compare: async () => (await import("./compare")).Compare,
  submit: async () => (await import("./submit")).Submit,
};

function App() {
  const { path } = place.value;
  const first = path.length === 1 && path[0] === "jobs" ? undefined : path[0];
  const main = useRef<HTMLElement>(null);
  const shown = place.value.path.slice(0, 2).join("/");
  const before = useRef(shown);
  useEffect(() => {
    // Who cannot see that the page is another one is put at its beginning.
    if (before.current !== shown) main.current?.focus();
    before.current = shown;
    scrollTo(0, 0);
  }, [shown]);
  const skip = (event: Event) => (event.preventDefault(), main.current?.focus());
  return (
    <>
      <a class="skip" href="#/" onClick={skip}>Skip to the content</a>
      <Header first={first} />
      <div class={`away ${online.value ? "" : "on"}`} role="status">{!online.value && "The gateway does not answer. Reconnecting…"}</div>
      <main ref={main} tabIndex={-1}>{keyWanted.value ? <AskKey /> : first ? <Later key={first} name={first} /> : <Jobs />}</main>
    </>
  );
}

function Header({ first }: { first: string | undefined }) {
  const [theme, setTheme] = useKept("theme", "auto");
  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  return (
    <header>
      <a class="brand" href={to("")} aria-label="Trainyard">
        <svg viewBox="0 0 32 32" aria-hidden="true"><path d="M5 22c8 0 7-12 15-12h7" /><path class="faint" d="M5 22h22" /></svg>
        Trainyard
      </a>
      <nav aria-label="Pages">
        <a href={to("")} aria-current={!first || first === "jobs" ? "page" : undefined}>Jobs</a>
        <a href={to("submit")} aria-current={first === "submit" ? "page" : undefined}>New job</a>
        <a href="/docs">API</a>
      </nav>
      <button class="quiet small" onClick={() => setTheme(NEXT[theme as Theme] ?? "auto")} aria-label={`Colours: ${theme}; change`}>
        <span aria-hidden="true">{{ auto: "◐", dark: "☾", light: "☀" }[theme as Theme] ?? "◐"}</span>
      </button>
    </header>
  );
}

function Later({ name }: { name: string }) {
  const [Loaded, setLoaded] = useState<{ page: ComponentType } | null>(null);
  const [failed, setFailed] = useState(false);
  const load = LATER[name];
  useEffect(() => {
    load?.().then((page) => setLoaded({ page }), () => setFailed(true));
  }, [name]);
  if (!load) return <p class="empty">There is no such page. <a href={to("")}>See all jobs</a></p>;
  if (failed) return <p class="empty">This page could not be fetched. <button onClick={() => location.reload()}>Try again</button></p>;
  return Loaded ? <Loaded.page /> : null;
}

function AskKey() {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const enter = (event: Event) => {
    event.preventDefault();
    const given = field.current?.value.trim();
    if (given) setKey(given);
  };
  return (
    <form class="card ask" onSubmit={enter}>
      <h1>An API key, please</h1>
      <p>This Trainyard lets in those who have a key. It is kept in this tab alone, and forgotten when you close it.</p>
      {key() && <p class="note bad" role="alert">The key that was given opens nothing here.</p>}
      <label>Key<input ref={field} type="password" autocomplete="off" spellcheck={false} placeholder="ty_…" required /></label>
      <p class="dim">No key? <code>trainyard keys create --name you</code> makes one.</p>
      <button class="strong">Open</button>
    </form>
  );
}

render(<App />, document.getElementById("app")!);
