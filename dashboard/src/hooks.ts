/** What components share: answers that stay up to date, a clock, the title of the tab. */

import { signal } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { keyVersion, patiently, Refusal, watch } from "./api";

/** A second hand, for "3 min ago"; it stands still while the tab is hidden. */
export const now = signal(Date.now());
setInterval(() => document.hidden || (now.value = Date.now()), 1000);

export interface Watched<T> {
  value: T | null;
  refusal: Refusal | null;
  /** Show this at once; an action's answer is newer than the next one of the watch. */
  put: (value: T) => void;
}

/** Keep an answer up to date; `goesOn` says whether there may be another. */
export function useWatch<T>(path: string, goesOn: (answer: T) => boolean = () => true, hold = true): Watched<T> {
  const [value, put] = useState<T | null>(null);
  const [refusal, setRefusal] = useState<Refusal | null>(null);
  const [again, setAgain] = useState(0);
  const version = keyVersion.value;
  useEffect(() => {
    const stop = new AbortController();
    setRefusal(null);
    void watch<T>(path, {
      told: (answer) => (put(answer), goesOn(answer)),
      refused: setRefusal,
      signal: stop.signal,
      hold,
    });
    return () => stop.abort();
  }, [path, version, again, hold]);
  return { value, refusal, put: (answer) => (put(answer), setAgain((count) => count + 1)) };
}

/** Do something asynchronous whenever `inputs` change; what has been overtaken is not heard. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, inputs: unknown[]): T | Refusal | null {
  const [value, setValue] = useState<T | Refusal | null>(null);
  const version = keyVersion.value;
  useEffect(() => {
    const stop = new AbortController();
    patiently(() => load(stop.signal), stop.signal).then(
      (answer) => stop.signal.aborted || setValue(answer),
      (error) => stop.signal.aborted || setValue(error instanceof Refusal ? error : new Refusal(0, "", String(error))),
    );
    return () => stop.abort();
  }, [...inputs, version]);
  return value;
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${title} · Trainyard` : "Trainyard";
  }, [title]);
}

/** A value that follows another one once it has been still for a while. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}

/** Remember a preference across visits. */
export function useKept(name: string, first: string): [string, (value: string) => void] {
  const [value, set] = useState(() => localStorage.getItem(`trainyard.${name}`) ?? first);
  return [value, (next) => (localStorage.setItem(`trainyard.${name}`, next), set(next))];
}

/** The width of an element, as it changes. */
export function useWidth<E extends HTMLElement>(): [RefObject<E | null>, number] {
  const ref = useRef<E>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)));
    if (ref.current) observer.observe(ref.current);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}
