/** What else there is to know of a job: its story, its attempts, its files, its definition. */

import { useEffect, useState } from "preact/hooks";
import { ask, key, patiently, pause, read, Refusal } from "./api";
import { between, bytes, clock, duration, metric, words } from "./format";
import { now, useLoad } from "./hooks";
import type { Artifact, Attempt, EventPage, Job, JobEvent, Json, Page } from "./types";
import { ENDED } from "./types";
import { Code, Copy, Sorry } from "./ui";

const PAGE = 1000;
/** Events kept on the page; older ones are at the API. */
const MOST_EVENTS = 5000;
const SHOWN = 300;

/** A stamp that changes when something has happened that is listed here. */
const stampOf = (job: Job) => `${job.id} ${job.state} ${job.attempt}`;

export function Events({ job }: { job: Job }) {
  const events = useEvents(job);
  const [all, setAll] = useState(false);
  const told = (all ? events : events.filter(({ type }) => type !== "epoch")).slice(-SHOWN).reverse();
  const epochs = events.length - events.filter(({ type }) => type !== "epoch").length;
  return (
    <>
      <div class="controls">
        <label class="switch"><input type="checkbox" checked={all} onChange={() => setAll(!all)} />Epochs too ({epochs})</label>
      </div>
      <ol class="story">
        {told.map((event) => (
          <li key={event.seq} class={event.type}>
            <time dateTime={event.at} title={event.at}>{clock(event.at)}</time>
            <span class="what">{eventText(event)}</span>
            <span class="dim">#{event.seq}{event.attempt > 0 && ` · attempt ${event.attempt}`}</span>
          </li>
        ))}
      </ol>
    </>
  );
}

function eventText({ type, data }: JobEvent): string {
  if (type === "state") return `${data.from ? `${data.from} → ` : ""}${data.to}${data.reason ? `: ${words(String(data.reason))}` : ""}`;
  if (type === "epoch") {
    const logs = Object.entries((data.logs ?? {}) as Record<string, Json>);
    return `Epoch ${data.epoch}: ${logs.map(([name, value]) => `${name} ${metric(value as number)}`).join(", ")}`;
  }
  if (type === "checkpoint") return `Checkpoint at step ${data.step}, epoch ${data.epoch}, ${bytes(Number(data.bytes))}`;
  return typeof data.detail === "string" ? data.detail : `${words(type)} ${JSON.stringify(data)}`;
}

/** A job's events, of which each is read once. */
function useEvents(job: Job): JobEvent[] {
  const [events, setEvents] = useState<JobEvent[]>([]);
  const version = `${stampOf(job)} ${job.progress?.updated_at} ${JSON.stringify(job.metrics)}`;
  useEffect(() => {
    const stop = new AbortController();
    void (async () => {
      // A job that changes all the time is not read all the time.
      if (events.length) await pause(600, stop.signal);
      let after = events.at(-1)?.seq ?? 0, found = events;
      while (!stop.signal.aborted) {
        const path = `/v1/jobs/${job.id}/events?after=${after}&page_size=${PAGE}`;
        const page = await patiently(() => read<EventPage>(path, stop.signal), stop.signal);
        found = [...found, ...page.items].slice(-MOST_EVENTS);
        after = page.next_after;
        setEvents(found);
        if (page.items.length < PAGE) return;
      }
    })().catch(() => undefined);
    return () => stop.abort();
  }, [version]);
  return events;
}

export function Attempts({ job }: { job: Job }) {
  const found = useLoad<Page<Attempt>>((signal) => read(`/v1/jobs/${job.id}/attempts`, signal), [stampOf(job)]);
  if (found instanceof Refusal) return <Sorry refusal={found} />;
  if (!found) return null;
  if (found.items.length === 0) return <p class="quietly">No worker has taken this job yet.</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Attempts">
      <table class="plain">
        <thead>
          <tr>
            <th scope="col">#</th><th scope="col">Worker</th><th scope="col">Began</th><th scope="col">Lasted</th>
            <th scope="col">Ended</th><th scope="col">Went on from</th>
          </tr>
        </thead>
        <tbody>
          {found.items.map((each) => (
            <tr key={each.number}>
              <th scope="row">{each.number}</th>
              <td class="mono">{each.worker}</td>
              <td>{clock(each.started_at)}</td>
              <td>{duration(between(each.started_at, each.ended_at, now.value))}</td>
              <td>{each.exit ? `${words(each.exit)}${each.reason ? `: ${words(each.reason)}` : ""}` : "runs now"}</td>
              <td>{each.resumed_from ? `step ${each.resumed_from.step}, epoch ${each.resumed_from.epoch} of attempt ${each.resumed_from.attempt}` : "the beginning"}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

export function Files({ job }: { job: Job }) {
  const found = useLoad<Page<Artifact>>((signal) => read(`/v1/jobs/${job.id}/artifacts`, signal), [stampOf(job)]);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  if (found instanceof Refusal) return <Sorry refusal={found} />;
  if (!found) return null;
  if (found.items.length === 0) {
    return <p class="quietly">{ENDED.has(job.state) ? "This job has left no files." : "Weights, history and results appear here when the job has ended."}</p>;
  }
  return (
    <>
      {refusal && <Sorry refusal={refusal} />}
      <div class="scroll" tabIndex={0} role="region" aria-label="Files">
        <table class="plain">
          <thead><tr><th scope="col">File</th><th scope="col" class="right">Size</th><th scope="col">SHA-256</th><th scope="col"><span class="hidden">Copy</span></th></tr></thead>
          <tbody>
            {found.items.map((file) => (
              <tr key={file.name}>
                <td><Download job={job} file={file} failed={setRefusal} /></td>
                <td class="right">{bytes(file.bytes)}</td>
                <td class="mono hash" title={file.sha256}>{file.sha256}</td>
                <td><Copy text={file.sha256} label={`Copy the SHA-256 of ${file.name}`} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Receipt job={job} files={found.items} />
    </>
  );
}

/** A plain link where the browser may fetch by itself; with a key, which a link cannot carry, through us. */
function Download({ job, file, failed }: { job: Job; file: Artifact; failed: (refusal: Refusal) => void }) {
  const path = `/v1/jobs/${job.id}/artifacts/${encodeURIComponent(file.name)}`;
  const fetched = async (event: Event) => {
    if (!key()) return;
    event.preventDefault();
    try {
      const url = URL.createObjectURL(await (await ask(path, { elsewhere: true })).blob());
      Object.assign(document.createElement("a"), { href: url, download: file.name }).click();
      setTimeout(() => URL.revokeObjectURL(url), 60_000);
    } catch (error) {
      if (error instanceof Refusal) failed(error);
    }
  };
  return <a href={path} download={file.name} onClick={fetched}>{file.name}</a>;
}

/** What the job ran on; who succeeded has left a receipt. */
function Receipt({ job, files }: { job: Job; files: Artifact[] }) {
  const there = files.some(({ name }) => name === "receipt.json");
  const found = useLoad<Record<string, Json> | null>(
    async (signal) => (there ? read(`/v1/jobs/${job.id}/artifacts/receipt.json`, signal, true) : null), [job.id, there],
  );
  if (!found || found instanceof Refusal) return null;
  const device = found.device as { type: string; capability: string; machine: string };
  const versions = Object.entries((found.versions ?? {}) as Record<string, string>);
  return (
    <>
      <h3>Made by</h3>
      <dl class="facts">
        <div><dt>Device</dt><dd>{device?.type}<small>{device?.machine} · {device?.capability}</small></dd></div>
        <div><dt>Threads</dt><dd>{String(found.threads)}</dd></div>
        <div><dt>Steps</dt><dd>{String(found.steps)}<small>{found.compiled ? "compiled" : "not compiled"}</small></dd></div>
        {versions.map(([name, version]) => <div key={name}><dt>{name}</dt><dd>{version}</dd></div>)}
      </dl>
    </>
  );
}

export function Definition({ job }: { job: Job }) {
  return <Code text={JSON.stringify(job.definition, null, 2)} label="definition of the job" />;
}
