/** The way to the gateway: one request, or one that is asked again whenever its answer may have changed. */

import { signal } from "@preact/signals";
import type { Fault, Page } from "./types";

const KEY = "trainyard.key";
/** Proxies cut what is silent for longer. */
const WAIT_SECONDS = 25;
/** Between two answers of one watch, however fast a job changes. */
const PAUSE_MS = 800;
const FIRST_BACKOFF_MS = 250, LONGEST_BACKOFF_MS = 5000;
const LOST = "The gateway does not answer, nor the storage that it sends us to; that one needs a CORS rule for this page.";
/** How often to ask where the answer carries no version. */
const BLIND_MS = 3000;

export const online = signal(true);
export const keyWanted = signal(false);
/** Grows when a key was given, so that what was refused is asked again. */
export const keyVersion = signal(0);

/** The gateway's refusal, in its own words. */
export class Refusal extends Error {
  constructor(readonly status: number, readonly title: string, detail: string, readonly faults: Fault[] = []) {
    super(detail);
  }
}

/** Nobody answered, or only somebody on the way. */
export class Unreachable extends Error {}

export function setKey(key: string): void {
  sessionStorage.setItem(KEY, key);
  keyWanted.value = false;
  keyVersion.value++;
}

export const key = () => sessionStorage.getItem(KEY);

export interface Asking {
  method?: string;
  body?: string | FormData;
  headers?: Record<string, string>;
  signal?: AbortSignal;
  /** The answer may be a redirect to the storage, whose silence says nothing of the gateway. */
  elsewhere?: boolean;
}

/** Ask once.
 *
 * Throws `Unreachable`, or `Refusal` for all that is neither 2xx nor 304.
 */
export async function ask(path: string, { method = "GET", body, headers = {}, signal, elsewhere }: Asking = {}): Promise<Response> {
  const sent = new Headers(headers);
  const secret = key();
  if (secret) sent.set("Authorization", `Bearer ${secret}`);
  if (typeof body === "string") sent.set("Content-Type", "application/json");
  let answer: Response;
  try {
    answer = await fetch(path, { method, body, headers: sent, signal, cache: "no-store" });
  } catch (error) {
    if (signal?.aborted) throw error;
    if (elsewhere) throw new Refusal(0, "The file did not come", LOST);
    online.value = false;
    throw new Unreachable("The gateway does not answer.");
  }
  if (answer.status >= 502 && answer.status <= 504) {
    online.value = false;
    throw new Unreachable(`The gateway does not answer (${answer.status}).`);
  }
  online.value = true;
  if (answer.ok || answer.status === 304) return answer;
  if (answer.status === 401) keyWanted.value = true;
  throw await refusal(answer);
}

/** Do something that asks, again and again until somebody answers. */
export async function patiently<T>(act: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let backoff = FIRST_BACKOFF_MS; ; backoff = Math.min(2 * backoff, LONGEST_BACKOFF_MS)) {
    try {
      return await act();
    } catch (error) {
      if (signal.aborted || !(error instanceof Unreachable)) throw error;
      await pause(backoff, signal);
    }
  }
}

export async function read<T>(path: string, signal?: AbortSignal, elsewhere = false): Promise<T> {
  return (await ask(path, { signal, elsewhere })).json();
}

export async function send<T>(path: string, body?: string, asking: Asking = {}): Promise<T> {
  return (await ask(path, { method: "POST", body, ...asking })).json();
}

/** Read a whole list, page by page, up to so many pages. */
export async function all<T>(path: string, most = 10): Promise<T[]> {
  const found: T[] = [];
  let token: string | null = null;
  for (let page = 0; page < most; page++) {
    const answer: Page<T> = await read(`${path}?page_size=200${token ? `&page_token=${token}` : ""}`);
    found.push(...answer.items);
    token = answer.next_page_token;
    if (!token) break;
  }
  return found;
}

async function refusal(answer: Response): Promise<Refusal> {
  try {
    const problem = await answer.json();
    return new Refusal(answer.status, problem.title, problem.detail, problem.errors ?? []);
  } catch {
    return new Refusal(answer.status, answer.statusText, `The gateway answered ${answer.status}.`);
  }
}

export interface Watching<T> {
  /** Told each new answer; says whether there will be another. */
  told: (answer: T) => boolean;
  refused: (refusal: Refusal) => void;
  signal: AbortSignal;
  /** Whether the gateway may hold the request; a browser has only six connections to it. */
  hold?: boolean;
}

/** Keep an answer up to date for as long as somebody looks at it.
 *
 * An answer with an ETag is waited for: the gateway holds the request until there is another. While the tab is
 * hidden nothing is asked at all, and a gateway that is away is tried again.
 */
export async function watch<T>(path: string, { told, refused, signal, hold = true }: Watching<T>): Promise<void> {
  let tag: string | null = null, backoff = FIRST_BACKOFF_MS;
  while (!signal.aborted) {
    const looking = await visible(signal);
    try {
      const headers: Record<string, string> = tag ? { "If-None-Match": tag } : {};
      if (tag && hold) headers.Prefer = `wait=${WAIT_SECONDS}`;
      const answer = await ask(path, { headers, signal: looking });
      backoff = FIRST_BACKOFF_MS;
      tag = answer.headers.get("ETag");
      if (answer.status !== 304 && !told(await answer.json())) return;
      await pause(hold ? hint(answer) : Math.max(hint(answer), BLIND_MS / 2), looking);
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refusal && error.status < 500) return refused(error);
      if (!(error instanceof Refusal || error instanceof Unreachable)) continue;
      await pause(backoff, looking);
      backoff = Math.min(backoff * 2, LONGEST_BACKOFF_MS);
    }
  }
}

function hint(answer: Response): number {
  if (!answer.headers.get("ETag")) return BLIND_MS;
  const waited = answer.headers.has("Preference-Applied") || answer.status === 200;
  return waited ? PAUSE_MS : Number(answer.headers.get("Retry-After") ?? 2) * 1000;
}

/** Wait until the tab is seen; the signal that comes back ends when it is hidden again. */
async function visible(signal: AbortSignal): Promise<AbortSignal> {
  if (document.hidden) await once(document, "visibilitychange", signal);
  const hidden = new AbortController();
  document.addEventListener("visibilitychange", () => hidden.abort(), { once: true, signal });
  return AbortSignal.any([signal, hidden.signal]);
}

export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal?.addEventListener("abort", () => (clearTimeout(timer), done()), { once: true });
  });
}

function once(target: EventTarget, name: string, signal: AbortSignal): Promise<void> {
  return new Promise((done) => {
    target.addEventListener(name, () => done(), { once: true });
    signal.addEventListener("abort", () => done(), { once: true });
  });
}
