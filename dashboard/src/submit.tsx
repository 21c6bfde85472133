/** A new job: write or paste it, and read what it would be told before it is sent. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { patiently, Refusal, read, send, Unreachable } from "./api";
import { Editor } from "./editor";
import { EXAMPLES } from "./examples";
import { Data } from "./data";
import { useSettled, useTitle } from "./hooks";
import { Model } from "./model";
import { marksOf, readJson } from "./pointers";
import type { Mark } from "./pointers";
import { go, place, to } from "./router";
import { Sorry } from "./ui";
import type { Fault, Job, Json, Validation } from "./types";

const DRAFT = "trainyard.draft";
const STILL_MS = 350;
/** What a job has beside its definition that a new one should have too. */
const KEPT = ["name", "labels"] as const;

type Verdict = { of: string } & ({ found: Validation } | { faults: Fault[] } | { away: true });

export function Submit() {
  const clone = place.value.query.get("clone");
  const [text, setText] = useState(() => sessionStorage.getItem(DRAFT) ?? pretty(EXAMPLES[0]!.job));
  const [fault, setFault] = useState<{ of: string; faults: Fault[] } | null>(null);
  const [busy, setBusy] = useState(false);
  const [missing, setMissing] = useState<Refusal | null>(null);
  useTitle("New job");
  useEffect(() => {
    if (!clone) return;
    const stop = new AbortController();
    const original = () => read<Job>(`/v1/jobs/${encodeURIComponent(clone)}`, stop.signal);
    patiently(original, stop.signal).then((job) => setText(pretty(cloned(job))), (error) => error instanceof Refusal && setMissing(error));
    return () => stop.abort();
  }, [clone]);
  useEffect(() => sessionStorage.setItem(DRAFT, text), [text]);

  const reading = useMemo(() => readJson(text), [text]);
  const verdict = useVerdict(useSettled(text, STILL_MS));
  const faults = fault?.of === text ? fault.faults : verdict?.of === text && "faults" in verdict ? verdict.faults : [];
  const marks: Mark[] = reading.fault ? [reading.fault] : marksOf(faults, text, reading.tree);
  const good = verdict?.of === text && "found" in verdict && !reading.fault;
  const submit = async () => {
    if (busy || reading.fault) return;
    setBusy(true);
    try {
      const job = await send<Job>("/v1/jobs", text, { headers: { "Idempotency-Key": crypto.randomUUID?.() ?? `${Date.now()}-${Math.random()}` } });
      sessionStorage.removeItem(DRAFT);
      go(to(`jobs/${job.id}`));
    } catch (error) {
      setFault({ of: text, faults: faultsOf(error) });
    }
    setBusy(false);
  };
  return (
    <>
      <div class="head">
        <h1>{clone ? "Clone and edit" : "New job"}</h1>
        <select aria-label="Begin with an example" value="" onChange={(event) => take(event.currentTarget.value, setText)}>
          <option value="">Begin with…</option>
          {EXAMPLES.map(({ title }) => <option key={title} value={title}>{title}</option>)}
        </select>
      </div>
      {missing && <Sorry refusal={missing} />}
      <div class="desk">
        <section aria-label="Definition">
          <Editor text={text} change={setText} marks={marks} submit={submit} />
          <div class="submit">
            <button class="strong" disabled={busy || !good} onClick={submit}>Submit</button>
            <span class="dim"><kbd>Ctrl</kbd> <kbd>Enter</kbd></span>
            <span class="dim verdict" role="status">{words(text, verdict, marks)}</span>
            <button class="quiet" onClick={() => setText(tidy(text))} disabled={!!reading.fault}>Tidy up</button>
          </div>
        </section>
        <section aria-label="What it would be" class="preview">
          {verdict && "found" in verdict ? <Preview found={verdict.found} stale={verdict.of !== text} /> : <p class="quietly">The model is drawn here once the job is right.</p>}
          <Data insert={insert} />
        </section>
      </div>
    </>
  );
}

function Preview({ found, stale }: { found: Validation; stale: boolean }) {
  return (
    <div class={stale ? "stale" : ""}>
      {found.warnings.map((each, index) => <p key={index} class="note">{each.detail}{each.pointer && <> <code>{each.pointer}</code></>}</p>)}
      {found.translated.length > 0 && (
        <details class="note"><summary>{found.translated.length} things were put into Keras 1's words</summary>
          <ul>{found.translated.map((each, index) => <li key={index}><code>{each.pointer}</code> {each.detail ?? JSON.stringify(each)}</li>)}</ul>
        </details>
      )}
      <Model found={found} />
    </div>
  );
}

function words(text: string, verdict: Verdict | null, marks: Mark[]): string {
  if (marks.length) return `${marks.length} ${marks.length === 1 ? "thing" : "things"} to put right`;
  if (verdict?.of !== text) return "Checking…";
  return "away" in verdict ? "The gateway does not answer; it is asked again." : "Ready to go";
}

/** What the gateway thinks of a text, once the text is JSON. */
function useVerdict(text: string): Verdict | null {
  const [verdict, setVerdict] = useState<Verdict | null>(null);
  const [retry, setRetry] = useState(0);
  useEffect(() => {
    if (readJson(text).fault) return;
    const stop = new AbortController();
    const told = (each: Verdict) => stop.signal.aborted || setVerdict(each);
    send<Validation>("/v1/validations", text, { signal: stop.signal }).then(
      (found) => told({ of: text, found }),
      (error) => {
        if (stop.signal.aborted) return;
        if (!(error instanceof Unreachable)) return void told({ of: text, faults: faultsOf(error) });
        told({ of: text, away: true });
        setTimeout(() => stop.signal.aborted || setRetry((count) => count + 1), 1500);
      },
    );
    return () => stop.abort();
  }, [text, retry]);
  return verdict;
}

function faultsOf(error: unknown): Fault[] {
  if (!(error instanceof Refusal)) return [{ detail: "The gateway does not answer; nothing was sent. Try again." }];
  return error.faults.length ? error.faults : [{ detail: error.message }];
}

function cloned(job: Job): Json {
  const own = Object.fromEntries(KEPT.filter((name) => job[name] && Object.keys(job[name]!).length).map((name) => [name, job[name] as Json]));
  return { ...own, seed: job.seed, ...job.definition };
}

/** Write a reference where the cursor is; the browser's own way of it can be undone. */
function insert(reference: string): void {
  document.querySelector<HTMLTextAreaElement>(".sheet textarea")?.focus();
  document.execCommand("insertText", false, JSON.stringify(reference));
}

function take(title: string, put: (text: string) => void): void {
  const found = EXAMPLES.find((each) => each.title === title);
  if (found) put(pretty(found.job));
}

function tidy(text: string): string {
  return pretty(JSON.parse(text));
}

const WIDE = 76;

/** JSON as people write it: what fits on a line is on a line. */
export function pretty(value: Json, indent = ""): string {
  const flat = spaced(value);
  if (flat.length + indent.length <= WIDE && !(indent === "" && typeof value === "object")) return flat;
  if (value === null || typeof value !== "object") return flat;
  const inner = `${indent}  `;
  if (Array.isArray(value)) return `[\n${value.map((each) => inner + pretty(each, inner)).join(",\n")}\n${indent}]`;
  const members = Object.entries(value).map(([name, each]) => `${inner}${JSON.stringify(name)}: ${pretty(each, inner)}`);
  return `{\n${members.join(",\n")}\n${indent}}`;
}

function spaced(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(spaced).join(", ")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  return `{${Object.entries(value).map(([name, each]) => `${JSON.stringify(name)}: ${spaced(each)}`).join(", ")}}`;
}
