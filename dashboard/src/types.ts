/** What the gateway answers, as far as the dashboard reads it. */

export type State =
  | "queued" | "running" | "pausing" | "paused" | "cancelling" | "succeeded" | "failed" | "cancelled";

/** Numbers that JSON has no word for come as words: "NaN", "Infinity". */
export type Logged = number | string | null;

/** What a run takes of its machine. */
export interface Resources {
  device: string;
  device_name?: string;
  cores: number | null;
  memory_bytes: number;
  peak_memory_bytes: number;
  gpu_memory_bytes?: number;
  peak_gpu_memory_bytes?: number;
}

export interface Progress {
  phase: string;
  epoch: number;
  nb_epoch: number;
  step: number;
  /** Null where nobody knows how many there will be: in a session. */
  total_steps: number | null;
  fraction: number | null;
  samples_per_second: number | null;
  eta_seconds: number | null;
  resources?: Resources;
  updated_at: string;
}

export interface Fault {
  pointer?: string;
  parameter?: string;
  detail: string;
}

export interface JobError {
  class: string;
  detail: string;
  retryable?: boolean;
  who?: string;
  pointer?: string;
}

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface Job {
  id: string;
  name: string | null;
  labels: Record<string, string>;
  state: State;
  reason: string | null;
  attempt: number;
  seed: number;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  progress: Progress | null;
  metrics: Record<string, Logged> | null;
  evaluation: Record<string, Logged> | null;
  error: JobError | null;
  resume_fidelity: string | null;
  /** Whether it ends after the epoch that it is in. */
  stopping: boolean;
  /** Lists may leave it out. */
  definition?: Record<string, Json>;
}

export interface Page<T> {
  items: T[];
  next_page_token: string | null;
}

/** What was logged, over epochs, or over the steps of a session. */
export interface History {
  epoch: number[];
  series: Record<string, Logged[]>;
}

/** A step of a session, and what came of it. */
export interface Step {
  number: number;
  kind: string;
  state: "waiting" | "done" | "failed";
  result: Record<string, Logged> | null;
}

export interface JobEvent {
  seq: number;
  attempt: number;
  type: string;
  data: Record<string, Json>;
  at: string;
}

export interface EventPage extends Page<JobEvent> {
  next_after: number;
}

export interface Attempt {
  number: number;
  worker: string;
  started_at: string;
  ended_at: string | null;
  exit: string | null;
  reason: string | null;
  resumed_from: { attempt: number; step: number; epoch: number } | null;
}

export interface Artifact {
  name: string;
  bytes: number;
  sha256: string;
  format: string;
}

export type Shape = (number | null)[];

/** A layer of a model; a Merge has branches, a nested Sequential has layers. */
export interface Row {
  name: string;
  class_name: string;
  input_shape: Shape | Shape[];
  output_shape: Shape;
  parameters: number;
  layers?: Row[];
  branches?: { name: string; layers: Row[] }[];
}

export interface Validation {
  layers: Row[];
  inputs: { name: string; shape: Shape; dtype: string }[];
  outputs: { name: string; shape: Shape }[];
  parameters: { trainable: number; frozen: number; total: number };
  datasets: string[];
  estimate: Record<string, number>;
  translated: { pointer?: string; detail?: string }[];
  warnings: { pointer?: string; detail?: string }[];
}

export interface Dataset {
  id: string;
  name: string;
  format: string;
  bytes: number;
  state: string;
  arrays: Record<string, { shape: number[]; dtype: string }>;
  created_at: string;
}

export const ENDED: ReadonlySet<State> = new Set(["succeeded", "failed", "cancelled"]);
