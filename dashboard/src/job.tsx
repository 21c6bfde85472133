/** One job: how it goes, and everything about it. */

import { useState } from "preact/hooks";
import { Refusal, send } from "./api";
import { Curves } from "./curves";
import { between, bytes, clock, duration, metric, percent, whole } from "./format";
import { now, useTitle, useWatch } from "./hooks";
import { Labels } from "./jobs";
import { Fact, JobModel } from "./model";
import { Attempts, Definition, Events, Files } from "./panels";
import { go, place, to } from "./router";
import type { Job, Resources, State } from "./types";
import { ENDED } from "./types";
import { Bar, Copy, fractionOf, headline, progressText, Sorry, StatePill, Tabs, titleOf } from "./ui";

const TABS = [
  { id: "curves", title: "Curves" }, { id: "model", title: "Model" }, { id: "events", title: "Events" },
  { id: "attempts", title: "Attempts" }, { id: "files", title: "Files" }, { id: "definition", title: "Definition" },
];
const PANELS = { model: JobModel, events: Events, attempts: Attempts, files: Files, definition: Definition, curves: Curves };

export function JobPage() {
  const [, id = "", asked = "curves"] = place.value.path;
  const { value: job, refusal, put } = useWatch<Job>(`/v1/jobs/${encodeURIComponent(id)}`, ({ state }) => !ENDED.has(state));
  useTitle(job ? headline(job) : "");
  if (refusal) return <Sorry refusal={refusal} />;
  if (!job || job.id !== id) return <div class="waiting" aria-busy="true" />;
  const chosen = asked in PANELS ? (asked as keyof typeof PANELS) : "curves";
  const Panel = PANELS[chosen];
  return (
    <>
      <Head job={job} put={put} />
      {job.error && <Failure job={job} />}
      <Facts job={job} />
      <Tabs tabs={TABS} chosen={chosen} label="About this job" choose={(tab) => go(to(`jobs/${id}/${tab}`), true)} />
      <div id="panel" role="tabpanel" aria-labelledby={`tab-${chosen}`}><Panel key={id} job={job} /></div>
    </>
  );
}

function Head({ job, put }: { job: Job; put: (job: Job) => void }) {
  const fraction = fractionOf(job);
  return (
    <div class="job-head">
      <div class="head">
        <div>
          <h1>{titleOf(job)}</h1>
          <p class="sub">
            <StatePill state={job.state} reason={job.reason} />
            <span class="mono dim">{job.id}</span><Copy text={job.id} label="Copy the job's id" />
            <Labels labels={job.labels} />
          </p>
        </div>
        <Actions job={job} put={put} />
      </div>
      {!ENDED.has(job.state) && (
        <div class="going">
          {fraction !== null && <Bar fraction={fraction} state={job.state} label={`Progress of ${titleOf(job)}`} />}
          <span>{job.progress && fraction !== null && <b>{percent(fraction)}</b>} {progressText(job)}</span>
        </div>
      )}
      <span class="hidden" role="status">{`${titleOf(job)} is ${job.state}`}</span>
    </div>
  );
}

const STOPS = "The training ends after the epoch that it is in. Its weights stay, and so do all other files.";
const MAY: Record<string, State[]> = {
  stop: ["running"], pause: ["queued", "running"], resume: ["paused", "pausing"], cancel: ["queued", "running", "pausing", "paused"],
};

function Actions({ job, put }: { job: Job; put: (job: Job) => void }) {
  const [busy, setBusy] = useState("");
  const [fault, setFault] = useState("");
  const [sure, setSure] = useState(false);
  const act = async (verb: string) => {
    setBusy(verb);
    setFault("");
    try {
      put(await send<Job>(`/v1/jobs/${job.id}/${verb}`));
    } catch (error) {
      setFault(error instanceof Refusal ? error.message : "The gateway does not answer; try again.");
    }
    setBusy("");
    setSure(false);
  };
  const may = (verb: string) => MAY[verb]!.includes(job.state);
  return (
    <div class="actions">
      {may("stop") && job.definition?.fit && (
        <button title={STOPS} disabled={!!busy || job.stopping} onClick={() => act("stop")}>{job.stopping ? "Stopping…" : "Stop"}</button>
      )}
      {may("pause") && <button disabled={!!busy} onClick={() => act("pause")}>Pause</button>}
      {may("resume") && <button disabled={!!busy} onClick={() => act("resume")}>Resume</button>}
      {may("cancel") && !sure && <button disabled={!!busy} onClick={() => setSure(true)}>Cancel</button>}
      {may("cancel") && sure && (
        <>
          <button class="danger" disabled={!!busy} onClick={() => act("cancel")} ref={(each) => each?.focus()}>Cancel for good</button>
          <button class="quiet" onClick={() => setSure(false)}>Keep running</button>
        </>
      )}
      <a class="button" href={to("submit", { clone: job.id })}>Clone and edit</a>
      <a class="button" href={to("compare", { jobs: job.id })}>Compare</a>
      {fault && <p class="fault" role="alert">{fault}</p>}
    </div>
  );
}

function Failure({ job }: { job: Job }) {
  const error = job.error!;
  return (
    <div class="note bad">
      <strong>{error.class.replaceAll("_", " ")}</strong>
      <p>{error.detail}</p>
      {error.pointer && <p class="dim">At <code>{error.pointer}</code> · <a href={to("submit", { clone: job.id })}>edit and try again</a></p>}
    </div>
  );
}

function Takes({ resources, running }: { resources: Resources; running: boolean }) {
  const { device_name: device, cores, memory_bytes: now, peak_memory_bytes: peak } = resources;
  const { gpu_memory_bytes: gpuNow, peak_gpu_memory_bytes: gpuPeak } = resources;
  const held = (now: number, peak: number) => (running ? { value: bytes(now), note: `${bytes(peak)} at most` } : { value: bytes(peak), note: "at most" });
  return (
    <>
      <Fact name="Memory" {...held(now, peak)} />
      {gpuNow !== undefined && gpuPeak !== undefined && <Fact name="GPU memory" {...held(gpuNow, gpuPeak)} />}
      {running && cores !== null && <Fact name="Busy cores" value={cores.toFixed(1)} note={device ?? resources.device} />}
    </>
  );
}

function Facts({ job }: { job: Job }) {
  const { progress: at } = job;
  const running = job.state === "running";
  const results = job.evaluation ?? {};
  return (
    <dl class="facts">
      {Object.entries(results).map(([name, value]) => <Fact key={name} name={`Test ${name}`} value={metric(value)} />)}
      {!job.evaluation && Object.entries(job.metrics ?? {}).slice(0, 4).map(([name, value]) => <Fact key={name} name={name} value={metric(value)} />)}
      {at && !!at.nb_epoch && at.total_steps !== null && <Fact name="Epochs" value={`${whole(at.epoch)} of ${whole(at.nb_epoch)}`} note={`step ${whole(at.step)} of ${whole(at.total_steps)}`} />}
      {at?.phase === "session" && <Fact name="Steps" value={whole(at.step)} />}
      {running && at?.samples_per_second != null && <Fact name="Speed" value={`${whole(at.samples_per_second)} /s`} note="samples" />}
      {at?.resources && <Takes resources={at.resources} running={running} />}
      <Fact name={job.finished_at ? "Took" : job.started_at ? "Runs for" : "Waits for"}
        value={duration(between(job.started_at ?? job.created_at, job.finished_at, now.value))}
        note={job.started_at ? `since ${clock(job.started_at)}` : `created ${clock(job.created_at)}`} />
      <Fact name="Attempt" value={String(job.attempt)} note={job.resume_fidelity ? `resumes ${job.resume_fidelity === "exact" ? "bit for bit" : "approximately"}` : undefined} />
      <Fact name="Seed" value={String(job.seed)} />
    </dl>
  );
}
