/** From a history to lines that can be drawn. */

import type { History, Logged } from "./types";

export type Points = (number | null)[];

export interface Line {
  label: string;
  /** Its place among the colours. */
  colour: number;
  dashed: boolean;
  points: Points;
}

const LEAST_TICKS = 4, EVEN_TICKS = 6, MOST_TICKS = 9;
const VALIDATION = /^val_/;

/** Put what has come since at the end; a measure that one of them lacks has gaps there. */
export function longer(before: History, since: History): History {
  const names = [...new Set([...Object.keys(before.series), ...Object.keys(since.series)])];
  const gaps = ({ epoch }: History): null[] => new Array(epoch.length).fill(null);
  const line = (name: string): Logged[] => [...(before.series[name] ?? gaps(before)), ...(since.series[name] ?? gaps(since))];
  return { epoch: [...before.epoch, ...since.epoch], series: Object.fromEntries(names.map((name) => [name, line(name)])) };
}

/** Names of the measures, each without its validation twin; the loss comes first. */
export function measures(series: Record<string, unknown>): string[] {
  const names = new Set(Object.keys(series).map((name) => name.replace(VALIDATION, "")));
  return [...names].sort((a, b) => Number(b === "loss") - Number(a === "loss"));
}

/** A measure's line in training, and the one in validation if there is any. */
export function linesOf(history: History, measure: string): Line[] {
  const lines: Line[] = [];
  const add = (name: string, label: string, colour: number) => {
    const logged = history.series[name];
    if (logged) lines.push({ label, colour, dashed: colour > 0, points: logged.map(finite) });
  };
  add(measure, "train", 0);
  add(`val_${measure}`, "validation", 1);
  return lines;
}

export function finite(value: Logged | undefined): number | null {
  return typeof value === "number" ? value : null;
}

/** A running average that does not lean towards zero at its beginning, and leaves gaps as they are. */
export function smooth(points: Points, weight: number): Points {
  let sum = 0, mass = 0;
  return points.map((value) => {
    if (value === null) return null;
    sum = sum * weight + value * (1 - weight);
    mass = mass * weight + (1 - weight);
    return sum / mass;
  });
}

/** What a logarithm can show. */
export function positive(points: Points): Points {
  return points.map((value) => (value !== null && value > 0 ? value : null));
}

/** Put lines with axes of their own onto one. */
export function onOneAxis(lines: { x: number[]; points: Points }[]): { x: number[]; points: Points[] } {
  const x = [...new Set(lines.flatMap((line) => line.x))].sort((a, b) => a - b);
  const place = new Map(x.map((value, index) => [value, index]));
  const points = lines.map((line) => {
    const row: Points = new Array(x.length).fill(null);
    line.x.forEach((value, index) => (row[place.get(value)!] = line.points[index] ?? null));
    return row;
  });
  return { x, points };
}

/** Where a logarithmic axis has its lines: at 1, 2 and 5 of each decade, or evenly where it shows less than one. */
export function logTicks(low: number, high: number): number[] {
  const ticks: number[] = [];
  for (let decade = Math.floor(Math.log10(low)); decade <= Math.log10(high); decade++) {
    ticks.push(...[1, 2, 5].map((digit) => digit * 10 ** decade));
  }
  const shown = ticks.filter((tick) => tick >= low && tick <= high);
  if (shown.length > MOST_TICKS) return shown.filter((tick) => Number.isInteger(Math.round(Math.log10(tick) * 1e6) / 1e6));
  return shown.length >= LEAST_TICKS ? shown : evenTicks(low, high);
}

function evenTicks(low: number, high: number): number[] {
  const rough = (high - low) / EVEN_TICKS, decade = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((digit) => digit * decade).find((each) => each >= rough)!;
  const first = Math.ceil(low / step), last = Math.floor(high / step);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => (first + index) * step);
}

export interface Extremes {
  last: number | null;
  least: number | null;
  most: number | null;
}

export function extremes(points: Points): Extremes {
  let last: number | null = null, least: number | null = null, most: number | null = null;
  for (const value of points) {
    if (value === null) continue;
    last = value;
    least = least === null || value < least ? value : least;
    most = most === null || value > most ? value : most;
  }
  return { last, least, most };
}
