/** Lines over epochs: uPlot, with a legend that is text, and a keyboard. */

import { useEffect, useRef, useState } from "preact/hooks";
import uPlot from "uplot";
import { metric } from "./format";
import { useWidth } from "./hooks";
import type { Line, Points } from "./series";
import { extremes, logTicks, positive, smooth } from "./series";

export type Zoom = [number, number] | null;

export interface View {
  log: boolean;
  /** From 0, as it is, to almost 1. */
  smoothing: number;
  zoom: Zoom;
  setZoom: (zoom: Zoom) => void;
}

const HEIGHT = 230, TALL = 340;
/** A chart that has the page to itself. */
const WIDE = 900;
const FONT = "12px 'Inter Variable', system-ui, sans-serif";
const DASH = [6, 4];
/** Charts with this key move their cursors together. */
const SYNC = "epochs";
/** Fewer points are marked, and more of them leave no room for dashes. */
const FEW_POINTS = 40, MANY_POINTS = 500;
const LOG_MARGIN = 1.08;
const LOG_AXIS: uPlot.Axis = { splits: (_, __, low, high) => logTicks(low, high), filter: (_, splits) => splits };

export interface Drawing {
  title: string;
  x: number[];
  lines: Line[];
  view: View;
  /** What `x` counts. */
  unit?: string;
}

export function Chart({ title, x, lines, view, unit = "epoch" }: Drawing) {
  const [frame, width] = useWidth<HTMLDivElement>();
  const plot = useRef<uPlot | null>(null);
  const zoomed = useRef(view.setZoom);
  zoomed.current = view.setZoom;
  const [at, setAt] = useState<number | null>(null);
  const [spoken, setSpoken] = useState("");
  const dark = useDark();
  const drawn = lines.map(({ points }) => (view.log ? positive(points) : points));
  const even = drawn.map((points) => (view.smoothing ? smooth(points, view.smoothing) : points));
  const form = lines.map(({ label, colour, dashed }) => `${label} ${colour} ${dashed}`).join("|");

  useEffect(() => {
    if (!frame.current || width === 0) return;
    const chart = new uPlot(options(frame.current, lines, view, width, x.length, setAt, zoomed), rows(x, drawn, even, view), frame.current);
    plot.current = chart;
    if (view.zoom) chart.setScale("x", { min: view.zoom[0], max: view.zoom[1] });
    return () => (chart.destroy(), (plot.current = null));
  }, [form, view.log, view.smoothing > 0, dark, width, x.length < FEW_POINTS, x.length < MANY_POINTS]);

  useEffect(() => {
    const chart = plot.current;
    if (!chart) return;
    chart.setData(rows(x, drawn, even, view), view.zoom === null);
    if (view.zoom) chart.setScale("x", { min: view.zoom[0], max: view.zoom[1] });
  }, [x, lines, view.smoothing, view.zoom]);

  const values = (index: number) => lines.map(({ label }, each) => `${label} ${metric(even[each]?.[index])}`).join(", ");
  const steer = (event: KeyboardEvent) => {
    const next = moved(event.key, at, x, view);
    if (next === undefined) return;
    event.preventDefault();
    if (next === null || !plot.current) return;
    plot.current.setCursor({ left: plot.current.valToPos(x[next]!, "x"), top: 10 });
    setSpoken(`${unit} ${x[next]}: ${values(next)}`);
  };
  const shown = at ?? x.length - 1;
  return (
    <figure class="chart">
      <figcaption>
        <h3>{title}</h3>
        <Legend lines={lines} values={even.map((points) => (at === null ? extremes(points).last : (points[shown] ?? null)))} />
        <span class="dim at">{x.length ? `${unit} ${x[shown]}` : ""}</span>
      </figcaption>
      <div class="plot" ref={frame} tabIndex={0} role="group" onKeyDown={steer}
        aria-label={`${title}: ${summary(lines)}. Arrow keys read the points, plus and minus zoom.`} />
      <span class="hidden" aria-live="polite">{spoken}</span>
    </figure>
  );
}

function Legend({ lines, values }: { lines: Line[]; values: Points }) {
  return (
    <span class="legend">
      {lines.map(({ label, colour, dashed }, index) => (
        <span key={label} class="entry">
          <svg class={`stroke c${colour}`} viewBox="0 0 18 4" aria-hidden="true"><path d="M0 2h18" stroke-dasharray={dashed ? "5 3" : undefined} /></svg>
          {label} <b>{metric(values[index])}</b>
        </span>
      ))}
    </span>
  );
}

function summary(lines: Line[]): string {
  return lines.map(({ label, points }) => {
    const { last, least, most } = extremes(points);
    return `${label} now ${metric(last)}, between ${metric(least)} and ${metric(most)}`;
  }).join("; ");
}

/** Where a key leads: to a point, nowhere (`null`) because it zoomed, or `undefined` for a key that is not ours. */
function moved(key: string, at: number | null, x: number[], view: View): number | null | undefined {
  const last = x.length - 1, here = at ?? last;
  const points: Record<string, number> = { ArrowLeft: here - 1, ArrowRight: here + 1, Home: 0, End: last };
  if (key in points) return Math.max(0, Math.min(last, points[key]!));
  if (key === "+" || key === "-") {
    const [low, high] = view.zoom ?? [x[0] ?? 0, x[last] ?? 1];
    const half = ((high - low) / 2) * (key === "+" ? 0.5 : 2), middle = x[here] ?? 0;
    const next: [number, number] = [Math.max(x[0] ?? 0, middle - half), Math.min(x[last] ?? 1, middle + half)];
    view.setZoom(next[0] <= (x[0] ?? 0) && next[1] >= (x[last] ?? 1) ? null : next);
    return null;
  }
  if (key === "Escape" || key === "0") {
    view.setZoom(null);
    return null;
  }
  return undefined;
}

/** The raw lines come first, faint, where they are smoothed. */
function rows(x: number[], drawn: Points[], even: Points[], view: View): uPlot.AlignedData {
  return [x, ...(view.smoothing ? drawn : []), ...even];
}

function options(
  frame: HTMLElement, lines: Line[], view: View, width: number, points: number,
  setAt: (index: number | null) => void, zoomed: { current: (zoom: Zoom) => void },
): uPlot.Options {
  const ink = inks(frame, lines);
  const line = ({ label, dashed }: Line, index: number, faint: boolean): uPlot.Series => ({
    label: faint ? `${label} raw` : label,
    stroke: ink.lines[index]! + (faint ? "55" : ""),
    width: faint ? 1 : points > MANY_POINTS ? 1.5 : 2,
    dash: dashed && !faint && points < MANY_POINTS ? DASH : undefined,
    spanGaps: true,
    points: { show: !faint && points < FEW_POINTS, size: 5, fill: ink.lines[index] },
  });
  const axis: uPlot.Axis = { stroke: ink.text, font: FONT, grid: { stroke: ink.grid, width: 1 }, ticks: { show: false }, gap: 8 };
  return {
    width, height: width > WIDE ? TALL : HEIGHT, padding: [10, 14, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: SYNC, scales: ["x", null] }, drag: { x: true, y: false, setScale: false }, y: false, points: { size: 7 } },
    scales: { x: { time: false }, y: view.log ? { distr: 3, range: (_, low, high) => [low / LOG_MARGIN, high * LOG_MARGIN] } : {} },
    series: [{}, ...(view.smoothing ? lines.map((each, index) => line(each, index, true)) : []), ...lines.map((each, index) => line(each, index, false))],
    axes: [
      { ...axis, size: 30, grid: { show: false }, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 2e4, 5e4, 1e5] },
      {
        ...axis, ...(view.log ? LOG_AXIS : {}), size: 56,
        values: (_, splits) => splits.map((value) => (value === null ? "" : short(value))),
      },
    ],
    hooks: {
      setCursor: [(chart) => setAt(chart.cursor.idx ?? null)],
      setSelect: [(chart) => {
        if (chart.select.width < 4) return;
        zoomed.current([chart.posToVal(chart.select.left, "x"), chart.posToVal(chart.select.left + chart.select.width, "x")]);
        chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
      }],
      ready: [(chart) => chart.over.addEventListener("dblclick", () => zoomed.current(null))],
    },
  };
}

function short(value: number): string {
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(0) : String(Number(value.toPrecision(6)));
}

/** A canvas takes no CSS variables: ask what they come to just now. */
function inks(frame: HTMLElement, lines: Line[]) {
  const probe = frame.appendChild(document.createElement("i"));
  const computed = (name: string) => {
    probe.style.color = `var(${name})`;
    const [r = 0, g = 0, b = 0] = getComputedStyle(probe).color.match(/[\d.]+/g)!.map(Number);
    return `#${[r, g, b].map((part) => Math.round(part).toString(16).padStart(2, "0")).join("")}`;
  };
  const found = { text: computed("--dim"), grid: computed("--line"), lines: lines.map(({ colour }) => computed(`--series-${colour % 8}`)) };
  probe.remove();
  return found;
}

function useDark(): string {
  const query = matchMedia("(prefers-color-scheme: dark)");
  const read = () => `${query.matches} ${document.documentElement.dataset.theme}`;
  const [dark, setDark] = useState(read);
  useEffect(() => {
    const look = () => setDark(read());
    const observer = new MutationObserver(look);
    observer.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    query.addEventListener("change", look);
    return () => (observer.disconnect(), query.removeEventListener("change", look));
  }, []);
  return dark;
}
