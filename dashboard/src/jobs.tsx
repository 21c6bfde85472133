/** The list of jobs: what is going on, newest first. */

import { useEffect, useRef, useState } from "preact/hooks";
import { read } from "./api";
import { ago, between, duration, metric, percent } from "./format";
import { now, useSettled, useTitle, useWatch } from "./hooks";
import { go, place, to } from "./router";
import { measures } from "./series";
import type { Job, Page } from "./types";
import { ENDED } from "./types";
import { Bar, Choice, Code, Empty, fractionOf, progressText, Sorry, StatePill, titleOf } from "./ui";

const PAGE = 30;
const STILL_MS = 200;
const MOST_COMPARED = 8;
const LEAST_OF_ID = 4;
const MOST_NUMBERS = 3;
const ACTIVE = "queued,running,pausing,paused,cancelling";
const STATES: [string, string][] = [
  ["", "All"], [ACTIVE, "Active"], ["succeeded", "Succeeded"], ["failed", "Failed"], ["cancelled", "Cancelled"],
];

interface Wanted {
  state: string;
  label: string;
  text: string;
}

function narrow(change: Partial<Wanted>): void {
  const before = Object.fromEntries(place.value.query) as Partial<Wanted>;
  go(to("", { ...before, ...change } as Record<string, string>), true);
}

export function Jobs() {
  const query = place.value.query;
  const wanted: Wanted = { state: query.get("state") ?? "", label: query.get("label") ?? "", text: query.get("text") ?? "" };
  const [older, setOlder] = useState<Page<Job> | null>(null);
  const [chosen, setChosen] = useState<string[]>([]);
  const path = listed(wanted);
  const { value, refusal } = useWatch<Page<Job>>(path);
  useEffect(() => setOlder(null), [path]);
  useTitle(value ? tabTitle(value.items) : "");

  if (refusal) return <Sorry refusal={refusal} />;
  const jobs = [...(value?.items ?? []), ...(older?.items ?? [])];
  const seen = new Set<string>();
  const shown = jobs.filter((job) => !seen.has(job.id) && seen.add(job.id) && matches(job, wanted.text));
  const token = older ? older.next_page_token : value?.next_page_token;
  const more = async () => {
    const page = await read<Page<Job>>(`${path}&page_token=${token}`);
    setOlder({ items: [...(older?.items ?? []), ...page.items], next_page_token: page.next_page_token });
  };
  const choose = (id: string, on: boolean) => setChosen(on ? [...chosen, id] : chosen.filter((each) => each !== id));

  return (
    <>
      <div class="head">
        <h1>Jobs</h1>
        <Filters wanted={wanted} />
      </div>
      {value && shown.length === 0 && <Nothing wanted={wanted} searched={jobs.length} />}
      {shown.length > 0 && <Table jobs={shown} chosen={chosen} choose={choose} />}
      {token && (
        <p class="more">
          <button onClick={more}>{wanted.text ? `Search older jobs (${jobs.length} searched)` : "Show older jobs"}</button>
        </p>
      )}
      {chosen.length > 0 && <Compared chosen={chosen} clear={() => setChosen([])} />}
    </>
  );
}

function listed({ state, label }: Wanted): string {
  const query = new URLSearchParams({ page_size: String(PAGE), definition: "false" });
  if (state) query.set("state", state);
  if (label) query.set("label", label);
  return `/v1/jobs?${query}`;
}

function tabTitle(jobs: Job[]): string {
  const running = jobs.filter((job) => job.state === "running");
  const fraction = running.length === 1 ? fractionOf(running[0]!) : null;
  if (fraction !== null) return `${percent(fraction)} ${titleOf(running[0]!)}`;
  return running.length ? `${running.length} running` : "Jobs";
}

function matches(job: Job, text: string): boolean {
  const labels = Object.entries(job.labels).map(([name, value]) => `${name}:${value}`);
  const all = [job.name ?? "", job.state, job.reason ?? "", job.error?.detail ?? "", ...labels].join("\n").toLowerCase();
  // A letter or two are in every id.
  const isId = (word: string) => word.length >= LEAST_OF_ID && job.id.toLowerCase().includes(word);
  return text.toLowerCase().split(/\s+/).every((word) => all.includes(word) || isId(word));
}

function Filters({ wanted }: { wanted: Wanted }) {
  const [text, setText] = useState(wanted.text);
  const settled = useSettled(text, STILL_MS);
  const sent = useRef(wanted.text);
  useEffect(() => {
    if (settled !== sent.current) narrow({ text: (sent.current = settled) });
  }, [settled]);
  // Somebody followed a link to another list, and did not just type.
  useEffect(() => {
    if (wanted.text !== sent.current) setText((sent.current = wanted.text));
  }, [wanted.text]);
  return (
    <form class="filters" role="search" onSubmit={(event) => event.preventDefault()}>
      <Choice label="State" options={STATES} value={wanted.state} choose={(state) => narrow({ state })} />
      <input type="search" aria-label="Search names, ids, labels and errors" placeholder="Search"
        value={text} onInput={(event) => setText(event.currentTarget.value)} />
      {wanted.label && (
        <button class="chip on" onClick={() => narrow({ label: "" })} aria-label={`No longer only ${wanted.label}`}>
          {wanted.label} <span aria-hidden="true">×</span>
        </button>
      )}
    </form>
  );
}

function Table({ jobs, chosen, choose }: { jobs: Job[]; chosen: string[]; choose: (id: string, on: boolean) => void }) {
  return (
    <table class="jobs">
      <thead>
        <tr>
          <th scope="col"><span class="hidden">Compare</span></th>
          <th scope="col">Job</th><th scope="col">State</th><th scope="col">Progress</th>
          <th scope="col">Numbers</th><th scope="col" class="right">Created</th>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <tr key={job.id} data-job={job.id}>
            <td class="tick">
              <input type="checkbox" aria-label={`Compare ${titleOf(job)}`} checked={chosen.includes(job.id)}
                disabled={!chosen.includes(job.id) && chosen.length >= MOST_COMPARED}
                onChange={(event) => choose(job.id, event.currentTarget.checked)} />
            </td>
            <td class="who">
              <a href={to(`jobs/${job.id}`)}>{titleOf(job)}</a>
              <Labels labels={job.labels} />
            </td>
            <td><StatePill state={job.state} reason={job.reason} /></td>
            <td class="going"><Going job={job} /></td>
            <td class="numbers"><Numbers job={job} /></td>
            <td class="right dim" title={job.created_at}>{ago(job.created_at, now.value)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function Labels({ labels }: { labels: Record<string, string> }) {
  return (
    <span class="labels">
      {Object.entries(labels).map(([name, value]) => (
        <a key={name} class="chip" href={to("", { label: `${name}:${value}` })} title={`Only jobs with ${name}:${value}`}>
          {name}:{value}
        </a>
      ))}
    </span>
  );
}

function Going({ job }: { job: Job }) {
  const fraction = fractionOf(job);
  if (ENDED.has(job.state) && job.started_at) {
    return <span class="dim">{duration(between(job.started_at, job.finished_at, now.value))}{job.attempt > 1 && ` · ${job.attempt} attempts`}</span>;
  }
  return (
    <>
      {job.progress && fraction !== null && <Bar fraction={fraction} state={job.state} label={`Progress of ${titleOf(job)}`} />}
      <span class="dim">{progressText(job)}{job.attempt > 1 && ` · attempt ${job.attempt}`}</span>
    </>
  );
}

function Numbers({ job }: { job: Job }) {
  if (job.state === "failed" && job.error) return <span class="dim clip" title={job.error.detail}>{job.error.detail}</span>;
  const told = job.evaluation ?? job.metrics ?? {};
  return (
    <>
      {measures(told).slice(0, MOST_NUMBERS).map((name) => (
        <span key={name} class="number">
          <span class="dim">{name}</span> {metric(told[name])}
          {told[`val_${name}`] !== undefined && <span class="dim"> / {metric(told[`val_${name}`])}</span>}
        </span>
      ))}
    </>
  );
}

function Compared({ chosen, clear }: { chosen: string[]; clear: () => void }) {
  return (
    <div class="tray" role="region" aria-label="Comparison">
      <span>{chosen.length === 1 ? "1 job chosen; choose another to compare" : `${chosen.length} jobs chosen`}</span>
      {chosen.length > 1 && <a class="button strong" href={to("compare", { jobs: chosen.join(",") })}>Compare</a>}
      <button class="quiet" onClick={clear}>Clear</button>
    </div>
  );
}

function Nothing({ wanted, searched }: { wanted: Wanted; searched: number }) {
  if (wanted.state || wanted.label || wanted.text) {
    return (
      <Empty title="No job is like that">
        <p>{wanted.text ? `None of the newest ${searched} jobs matches.` : "There may be others."}</p>
        <p><a class="button" href={to("")}>Show all jobs</a></p>
      </Empty>
    );
  }
  const curl = `curl ${location.origin}/v1/jobs -H 'Content-Type: application/json' -d @job.json`;
  return (
    <Empty title="No jobs yet">
      <p>Write one here, with checks as you type, or send one from a terminal.</p>
      <p><a class="button strong" href={to("submit")}>Write a job</a></p>
      <Code text={curl} label="command that submits a job" />
    </Empty>
  );
}
