/** The curves of a session: what its updates have given, over the numbers of its steps. */

import { read, Refusal } from "./api";
import type { History, Job, Logged, Step } from "./types";

/** The service keeps the results of as many, and gives out so many at a time. */
const KEPT = 1000, PAGE = 256;

export const isSession = (job: Job): boolean => !!job.definition?.session;

/** Read what came after a step, as far as it is still kept. */
export async function updatesOf(job: Job, after: number, signal: AbortSignal): Promise<History> {
  const updates: Step[] = [];
  for (let last = Math.max(after, (job.progress?.step ?? 0) - KEPT, 0); ; ) {
    const done = await doneAfter(job, last, signal);
    if (done === "gone") {
      last += PAGE;
      continue;
    }
    updates.push(...done.filter(({ kind, state }) => kind === "train" && state === "done"));
    if (done.length < PAGE) return historyOf(updates);
    last = done.at(-1)!.number;
  }
}

async function doneAfter(job: Job, last: number, signal: AbortSignal): Promise<Step[] | "gone"> {
  try {
    const { steps } = await read<{ steps: Step[] }>(`/v1/jobs/${job.id}/steps?after=${last}&limit=${PAGE}`, signal);
    return steps.filter(({ state }) => state !== "waiting");
  } catch (error) {
    if (error instanceof Refusal && error.status === 410) return "gone";
    throw error;
  }
}

function historyOf(updates: Step[]): History {
  const names = Object.keys(updates[0]?.result ?? {});
  const line = (name: string): Logged[] => updates.map(({ result }) => result?.[name] ?? null);
  return { epoch: updates.map(({ number }) => number), series: Object.fromEntries(names.map((name) => [name, line(name)])) };
}
