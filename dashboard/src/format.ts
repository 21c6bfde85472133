/** Numbers, sizes and times as people read them. */

import type { Logged, Shape } from "./types";

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function whole(value: number): string {
  return WHOLE.format(value);
}

/** Four digits that count, and never 0.0000 for something small. */
export function metric(value: Logged | undefined): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "string") return value;
  const size = Math.abs(value);
  if (size !== 0 && (size < 0.001 || size >= 1e6)) return value.toExponential(2);
  if (size >= 1000) return WHOLE.format(value);
  return value.toFixed(size >= 100 ? 1 : size >= 10 ? 2 : 4);
}

export function bytes(value: number): string {
  let size = value, unit = 0;
  while (size >= 1000 && unit < UNITS.length - 1) [size, unit] = [size / 1000, unit + 1];
  return `${unit === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${UNITS[unit]}`;
}

/** "3 s", "4 min 10 s", "2 h 5 min", "3 d 4 h". */
export function duration(seconds: number): string {
  if (seconds < 1) return "< 1 s";
  const parts: [number, string][] = [
    [Math.floor(seconds / 86400), "d"],
    [Math.floor(seconds / 3600) % 24, "h"],
    [Math.floor(seconds / 60) % 60, "min"],
    [Math.floor(seconds) % 60, "s"],
  ];
  const first = parts.findIndex(([amount]) => amount > 0);
  return parts.slice(first, first + 2).filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`).join(" ");
}

export function ago(when: string, now: number): string {
  const seconds = Math.max(0, (now - Date.parse(when)) / 1000);
  if (seconds < 5) return "just now";
  if (seconds < 86400) {
    const [amount, unit] = seconds < 60 ? [seconds, "s"] : seconds < 3600 ? [seconds / 60, "min"] : [seconds / 3600, "h"];
    return `${Math.floor(amount)} ${unit} ago`;
  }
  return new Date(when).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}

export function clock(when: string): string {
  return new Date(when).toLocaleString("en-GB", {
    day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit",
  });
}

/** Seconds between two moments; up to now where the second has not come. */
export function between(from: string, to: string | null, now: number): number {
  return Math.max(0, ((to ? Date.parse(to) : now) - Date.parse(from)) / 1000);
}

/** Without the batch, unless it is fixed; an axis of any length is "any". */
export function shape(axes: Shape): string {
  const [batch = null, ...sample] = axes;
  const told = sample.map((axis) => (axis === null ? "any" : whole(axis))).join(" × ") || "1";
  return batch === null ? told : `${told}, batch ${batch}`;
}

export function percent(fraction: number): string {
  const hundredths = fraction * 100;
  return `${hundredths < 10 && hundredths > 0 ? hundredths.toFixed(1) : Math.floor(hundredths)}%`;
}

/** "worker_lost" as words. */
export function words(name: string): string {
  return name.replaceAll("_", " ");
}
