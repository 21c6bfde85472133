/** Several jobs on one chart, and what they differ in. */

import { useEffect, useMemo, useState } from "preact/hooks";
import { Chart } from "./chart";
import { useHistory, useView, ViewControls } from "./curves";
import { metric } from "./format";
import { useKept, useTitle, useWatch } from "./hooks";
import { go, place, to } from "./router";
import { finite, measures, onOneAxis } from "./series";
import type { History, Job, Json, Page } from "./types";
import { ENDED } from "./types";
import { Choice, Empty, Sorry, StatePill, titleOf } from "./ui";

const MOST = 8;
/** As many requests may be held at once and leave room for others. */
const MOST_HELD = 3;
const MOST_DIFFERENCES = 60;

interface Compared {
  job: Job;
  history: History | null;
}

export function Compare() {
  const ids = (place.value.query.get("jobs") ?? "").split(",").filter(Boolean).slice(0, MOST);
  const [found, setFound] = useState<Record<string, Compared>>({});
  useTitle("Compare");
  const put = (one: Compared) => setFound((before) => ({ ...before, [one.job.id]: one }));
  const set = (next: string[]) => go(to("compare", { jobs: next.join(",") }), true);
  const there = ids.map((id) => found[id]).filter((each): each is Compared => each !== undefined);
  return (
    <>
      <div class="head"><h1>Compare</h1><Add ids={ids} add={(id) => set([...ids, id])} /></div>
      {ids.map((id) => <Follow key={id} id={id} put={put} hold={ids.length <= MOST_HELD} />)}
      {ids.length === 0 && <Empty title="Nothing to compare yet"><p>Choose jobs above, or tick them in the list of jobs.</p></Empty>}
      {there.length > 0 && <Together compared={there} remove={(id) => set(ids.filter((each) => each !== id))} />}
    </>
  );
}

/** Keeps one job and its history up to date; it shows only what went wrong. */
function Follow({ id, put, hold }: { id: string; put: (one: Compared) => void; hold: boolean }) {
  const { value: job, refusal } = useWatch<Job>(`/v1/jobs/${encodeURIComponent(id)}`, ({ state }) => !ENDED.has(state), hold);
  if (refusal) return <Sorry refusal={refusal} />;
  return job && <FollowHistory job={job} put={put} />;
}

function FollowHistory({ job, put }: { job: Job; put: (one: Compared) => void }) {
  const history = useHistory(job);
  useEffect(() => put({ job, history }), [job, history]);
  return null;
}

function Add({ ids, add }: { ids: string[]; add: (id: string) => void }) {
  const { value } = useWatch<Page<Job>>("/v1/jobs?page_size=50&definition=false", () => false);
  const others = (value?.items ?? []).filter((job) => !ids.includes(job.id));
  if (ids.length >= MOST || others.length === 0) return null;
  return (
    <select aria-label="Add a job" value="" onChange={(event) => event.currentTarget.value && add(event.currentTarget.value)}>
      <option value="">Add a job…</option>
      {others.map((job) => <option key={job.id} value={job.id}>{titleOf(job)} · {job.state} · {job.id.slice(-6)}</option>)}
    </select>
  );
}

function Together({ compared, remove }: { compared: Compared[]; remove: (id: string) => void }) {
  const names = useMemo(() => namesOf(compared.map(({ job }) => job)), [compared]);
  const all = measures(Object.assign({}, ...compared.map(({ history }) => history?.series ?? {})));
  const [wanted, setWanted] = useState("loss");
  const [of, setOf] = useKept("compare", "both");
  const measure = all.includes(wanted) ? wanted : (all[0] ?? "loss");
  const view = useView();
  const { x, lines } = useMemo(() => joined(compared, names, measure, of), [compared, measure, of]);
  return (
    <>
      <div class="controls">
        {all.length > 1 && <Choice label="Measure" options={all.map((name) => [name, name])} value={measure} choose={setWanted} />}
        <Choice label="Lines" options={[["both", "Both"], ["train", "Training"], ["validation", "Validation"]]} value={of} choose={setOf} />
      </div>
      <ViewControls view={view} />
      <div class="charts one">{x.length > 0 && <Chart title={measure} x={x} lines={lines} view={view} />}</div>
      <Results compared={compared} names={names} remove={remove} />
      <Differences compared={compared} names={names} />
    </>
  );
}

/** Jobs often share a name; the end of the id tells them apart. */
function namesOf(jobs: Job[]): string[] {
  const titles = jobs.map(titleOf);
  return titles.map((title, index) => (titles.indexOf(title) === titles.lastIndexOf(title) ? title : `${title} ${jobs[index]!.id.slice(-4)}`));
}

function joined(compared: Compared[], names: string[], measure: string, of: string) {
  const drawn = compared.flatMap(({ history }, index) => [
    { name: measure, label: names[index]!, dashed: false, wanted: of !== "validation" },
    { name: `val_${measure}`, label: `${names[index]} validation`, dashed: true, wanted: of !== "train" },
  ].filter(({ name, wanted }) => wanted && history?.series[name]).map(({ name, label, dashed }) => ({
    label, dashed: dashed && of === "both", colour: index, x: history!.epoch, points: history!.series[name]!.map(finite),
  })));
  const { x, points } = onOneAxis(drawn);
  return { x, lines: drawn.map(({ label, dashed, colour }, index) => ({ label, dashed, colour, points: points[index]! })) };
}

function Results({ compared, names, remove }: { compared: Compared[]; names: string[]; remove: (id: string) => void }) {
  const columns = [...new Set(compared.flatMap(({ job }) => Object.keys(job.metrics ?? {})))];
  const tests = [...new Set(compared.flatMap(({ job }) => Object.keys(job.evaluation ?? {})))];
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Results">
      <table class="plain numeric">
        <thead>
          <tr>
            <th scope="col" class="left">Job</th><th scope="col" class="left">State</th>
            {columns.map((name) => <th key={name} scope="col">{name}</th>)}
            {tests.map((name) => <th key={name} scope="col">test {name}</th>)}
            <th scope="col"><span class="hidden">Remove</span></th>
          </tr>
        </thead>
        <tbody>
          {compared.map(({ job }, index) => (
            <tr key={job.id}>
              <th scope="row"><span class={`dot series c${index}`} aria-hidden="true" /><a href={to(`jobs/${job.id}`)}>{names[index]}</a></th>
              <td class="left"><StatePill state={job.state} /></td>
              {columns.map((name) => <td key={name}>{metric(job.metrics?.[name])}</td>)}
              {tests.map((name) => <td key={name}>{metric(job.evaluation?.[name])}</td>)}
              <td><button class="quiet small" onClick={() => remove(job.id)} aria-label={`Remove ${names[index]}`}>×</button></td>
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Only what is not the same in all of them. */
function Differences({ compared, names }: { compared: Compared[]; names: string[] }) {
  const flat = useMemo(() => compared.map(({ job }) => flattened({ seed: job.seed, ...job.definition })), [compared]);
  if (compared.length < 2) return null;
  const paths = [...new Set(flat.flatMap((each) => [...each.keys()]))].filter((path) => new Set(flat.map((each) => each.get(path))).size > 1);
  if (paths.length === 0) return <p class="quietly">These jobs have the same definition and seed.</p>;
  return (
    <>
      <h2>What differs</h2>
      <div class="scroll" tabIndex={0} role="region" aria-label="What differs">
        <table class="plain">
          <thead><tr><th scope="col">Where</th>{names.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
          <tbody>
            {paths.slice(0, MOST_DIFFERENCES).map((path) => (
              <tr key={path}>
                <th scope="row" class="mono">{path}</th>
                {flat.map((each, index) => <td key={index} class="mono clip">{each.get(path) ?? "–"}</td>)}
              </tr>
            ))}
          </tbody>
        </table>
        {paths.length > MOST_DIFFERENCES && <p class="dim">And {paths.length - MOST_DIFFERENCES} more.</p>}
      </div>
    </>
  );
}

function flattened(value: Json | undefined, path = "", into = new Map<string, string>()): Map<string, string> {
  if (value !== null && typeof value === "object" && Object.keys(value).length > 0) {
    for (const [name, inner] of Object.entries(value)) flattened(inner, `${path}/${name}`, into);
  } else {
    into.set(path, JSON.stringify(value));
  }
  return into;
}
