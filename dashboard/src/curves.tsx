/** A job's curves: one chart for each measure, all looked at in the same way. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { pause, read, Refusal } from "./api";
import type { View, Zoom } from "./chart";
import { Chart } from "./chart";
import { useKept } from "./hooks";
import { linesOf, longer, measures } from "./series";
import { isSession, updatesOf } from "./steps";
import type { History, Job } from "./types";
import { ENDED } from "./types";

const LEAST_MS = 1000;
/** Whatever takes long is done the more rarely. */
const TIMES_ITS_COST = 5;
const NAP_MS = 200;

export interface Viewing extends View {
  toggleLog: () => void;
  setSmoothing: (value: string) => void;
}

export function useView(): Viewing {
  const [log, setLog] = useKept("log", "");
  const [smoothing, setSmoothing] = useKept("smoothing", "0");
  const [zoom, setZoom] = useState<Zoom>(null);
  const toggleLog = () => setLog(log === "on" ? "" : "on");
  return { log: log === "on", smoothing: Number(smoothing), zoom, setZoom, toggleLog, setSmoothing };
}

export function ViewControls({ view }: { view: Viewing }) {
  return (
    <div class="controls">
      <label class="switch"><input type="checkbox" checked={view.log} onChange={view.toggleLog} />Log scale</label>
      <label class="slider">
        Smoothing
        <input type="range" min="0" max="0.98" step="0.02" value={view.smoothing} onInput={(event) => view.setSmoothing(event.currentTarget.value)} />
        <output>{view.smoothing.toFixed(2)}</output>
      </label>
      <button class="quiet small" disabled={view.zoom === null} onClick={() => view.setZoom(null)}>Reset zoom</button>
      <span class="dim hint">Drag over a chart to zoom; double-click to see all.</span>
    </div>
  );
}

export function Curves({ job }: { job: Job }) {
  const history = useHistory(job);
  const view = useView();
  const names = useMemo(() => (history ? measures(history.series) : []), [history]);
  const lines = useMemo(() => names.map((name) => linesOf(history!, name)), [history]);
  if (!history) return <p class="charts quietly" aria-busy="true">Reading the history…</p>;
  if (history.epoch.length === 0) return <p class="quietly">{waitingText(job)}</p>;
  const unit = isSession(job) ? "step" : "epoch";
  return (
    <section aria-label="Curves">
      <ViewControls view={view} />
      <div class={`charts ${names.length === 1 ? "one" : ""}`}>
        {names.map((name, index) => <Chart key={name} title={name} x={history.epoch} lines={lines[index]!} view={view} unit={unit} />)}
      </div>
      <details class="table-of">
        <summary>The same as a table</summary>
        <HistoryTable history={history} unit={unit} />
      </details>
    </section>
  );
}

function waitingText(job: Job): string {
  if (isSession(job)) return ENDED.has(job.state) ? "This session has made no update that is still kept." : "Curves begin with the first update.";
  if (ENDED.has(job.state)) return "This job has logged no epoch.";
  return job.state === "queued" ? "Curves begin with the first epoch; the job is waiting for a worker." : "Curves begin once the first epoch has ended.";
}

const ROWS = 200;

function HistoryTable({ history, unit }: { history: History; unit: string }) {
  const names = Object.keys(history.series);
  const from = Math.max(0, history.epoch.length - ROWS);
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="History">
      {from > 0 && <p class="dim">The last {ROWS} of {history.epoch.length} {unit}s.{unit === "epoch" && " history.json among the files has them all."}</p>}
      <table class="plain numeric">
        <thead><tr><th scope="col">{unit}</th>{names.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
        <tbody>
          {history.epoch.slice(from).map((epoch, index) => (
            <tr key={epoch}>
              <th scope="row">{epoch}</th>
              {names.map((name) => <td key={name}>{String(history.series[name]?.[from + index] ?? "")}</td>)}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** The history of a job, read again when the job has logged something, and not too often. */
export function useHistory(job: Job): History | null {
  const [history, setHistory] = useState<History | null>(null);
  const newest = useRef(job);
  newest.current = job;
  useEffect(() => {
    const stop = new AbortController();
    void keepUp(newest, setHistory, stop.signal);
    return () => stop.abort();
  }, [job.id]);
  return history;
}

async function keepUp(newest: { current: Job }, put: (history: History) => void, signal: AbortSignal): Promise<void> {
  let shown = "", due = 0, attempt = -1, history: History | null = null;
  while (!signal.aborted) {
    const job = newest.current, version = versionOf(job), ended = ENDED.has(job.state);
    if (version === shown && ended) return;
    if (version === shown || document.hidden || (performance.now() < due && !ended)) {
      await pause(NAP_MS, signal);
      continue;
    }
    const began = performance.now();
    try {
      // A new attempt may train epochs again that are here already.
      const after: number = (attempt === job.attempt && history?.epoch.at(-1)) || -1;
      const found = isSession(job) ? await updatesOf(job, after, signal) : await read<History>(`/v1/jobs/${job.id}/metrics?after=${after}`, signal);
      history = after >= 0 && history ? longer(history, found) : found;
      if (after < 0 || found.epoch.length) put(history);
      [shown, attempt] = [version, job.attempt];
      due = performance.now() + Math.max(LEAST_MS, TIMES_ITS_COST * (performance.now() - began));
    } catch (error) {
      if (error instanceof Refusal) return;
      await pause(LEAST_MS, signal);
    }
  }
}

function versionOf(job: Job): string {
  const { progress: at } = job;
  return `${job.state} ${job.attempt} ${isSession(job) ? at?.step : at?.epoch} ${JSON.stringify(job.metrics)}`;
}
