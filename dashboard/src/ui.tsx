/** The small parts that every page is made of. */

import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Refusal } from "./api";
import { duration, percent, whole, words } from "./format";
import { now } from "./hooks";
import type { Job, Progress, State } from "./types";
import { ENDED } from "./types";

/** A shape beside the colour, for those who see few colours. */
const SIGNS: Record<State, string> = {
  queued: "○", running: "●", pausing: "◐", paused: "❙❙", cancelling: "◐", succeeded: "✓", failed: "✕", cancelled: "–",
};

/** What a runner does besides fitting. */
const PHASES: Record<string, string> = { compile: "compiling", evaluate: "evaluating", predict: "predicting" };

export function StatePill({ state, reason }: { state: State; reason?: string | null }) {
  const told = reason && !["cancelled_by_user", "paused_by_user", "resumed_by_user"].includes(reason);
  return (
    <span class={`pill ${state}`}>
      <span class="sign" aria-hidden="true">{SIGNS[state]}</span>
      {state}{told && <span class="reason">{words(reason)}</span>}
    </span>
  );
}

export function Bar({ fraction, state, label }: { fraction: number; state: State; label: string }) {
  return (
    <div class={`bar ${state}`} role="progressbar" aria-label={label}
      aria-valuenow={Math.floor(fraction * 100)} aria-valuemin={0} aria-valuemax={100}>
      <div style={{ width: `${fraction * 100}%` }} />
    </div>
  );
}

/** What remains, counted down between two answers. */
export function remaining(progress: Progress | null): string | null {
  if (!progress || progress.eta_seconds === null) return null;
  const since = Math.max(0, (now.value - Date.parse(progress.updated_at)) / 1000);
  return duration(Math.max(0, progress.eta_seconds - since));
}

export function progressText(job: Job): string {
  const { progress: at, state } = job;
  if (!at) return state === "queued" ? "waiting for a worker" : "";
  if (at.phase === "session") return `session · ${whole(at.step)} ${at.step === 1 ? "step" : "steps"}`;
  const epoch = at.nb_epoch ? `epoch ${whole(Math.min(at.epoch + (ENDED.has(state) ? 0 : 1), at.nb_epoch))} of ${whole(at.nb_epoch)}` : at.phase;
  if (state !== "running") return epoch;
  const left = remaining(at);
  const doing = PHASES[at.phase];
  return [epoch, doing ?? (left && `${left} left`)].filter(Boolean).join(" · ");
}

/** How much is done; null where nobody knows what there will be to do. */
export function fractionOf(job: Job): number | null {
  return job.state === "succeeded" ? 1 : job.progress ? job.progress.fraction : 0;
}

export function titleOf(job: Job): string {
  return job.name || job.id;
}

export function headline(job: Job): string {
  const fraction = job.state === "running" && job.progress ? fractionOf(job) : null;
  return `${titleOf(job)} · ${fraction === null ? job.state : percent(fraction)}`;
}

/** Browsers keep the clipboard from pages that come over plain HTTP from another machine. */
async function toClipboard(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.body.appendChild(Object.assign(document.createElement("textarea"), { value: text }));
  field.select();
  document.execCommand("copy");
  field.remove();
}

export function Copy({ text, label }: { text: string; label: string }) {
  const [done, setDone] = useState(false);
  const copy = async () => {
    await toClipboard(text);
    setDone(true);
    setTimeout(() => setDone(false), 1500);
  };
  return <button class="quiet small" onClick={copy} aria-label={label}>{done ? "Copied" : "Copy"}</button>;
}

export function Sorry({ refusal }: { refusal: Refusal }) {
  return (
    <div class="note bad" role="alert">
      <strong>{refusal.title || "That did not work"}</strong>
      <p>{refusal.message}</p>
    </div>
  );
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <svg viewBox="0 0 120 40" aria-hidden="true"><path d="M4 30h112M4 30c40 0 36-22 76-22h36" /><circle cx="116" cy="8" r="3" /></svg>
      <h2>{title}</h2>
      {children}
    </div>
  );
}

export function Code({ text, label }: { text: string; label: string }) {
  return (
    <div class="code">
      <pre tabIndex={0} aria-label={label}>{text}</pre>
      <Copy text={text} label={`Copy ${label}`} />
    </div>
  );
}

export interface Tab {
  id: string;
  title: string;
  count?: number;
}

/** Tabs by the book: arrows move between them, and only the chosen one is in the tab order. */
export function Tabs({ tabs, chosen, choose, label }: {
  tabs: Tab[]; chosen: string; choose: (id: string) => void; label: string;
}) {
  const move = (event: KeyboardEvent) => {
    const at = tabs.findIndex(({ id }) => id === chosen);
    const step = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: tabs.length - 1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const next = tabs[(step + tabs.length) % tabs.length]!;
    choose(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label={label} onKeyDown={move}>
      {tabs.map(({ id, title, count }) => (
        <button key={id} id={`tab-${id}`} role="tab" aria-selected={id === chosen} aria-controls="panel"
          tabIndex={id === chosen ? 0 : -1} onClick={() => choose(id)}>
          {title}{count ? <span class="count">{count}</span> : null}
        </button>
      ))}
    </div>
  );
}

export function Choice({ label, options, value, choose }: {
  label: string; options: [string, string][]; value: string; choose: (value: string) => void;
}) {
  return (
    <fieldset class="choice">
      <legend class="hidden">{label}</legend>
      {options.map(([id, title]) => (
        <label key={id} class={id === value ? "chosen" : ""}>
          <input type="radio" name={label} value={id} checked={id === value} onChange={() => choose(id)} />
          {title}
        </label>
      ))}
    </fieldset>
  );
}
