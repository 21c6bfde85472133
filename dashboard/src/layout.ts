/** Where the boxes of a model's drawing go: chains from top to bottom, branches side by side, nested models in a frame. */

import { shape, whole } from "./format";
import type { Row } from "./types";

export interface Box {
  x: number;
  y: number;
  width: number;
  height: number;
  title: string;
  name: string;
  note: string;
  size: string;
  family: string;
}

export interface Frame {
  x: number;
  y: number;
  width: number;
  height: number;
  label: string;
}

export interface Edge {
  from: [number, number];
  to: [number, number];
}

/** A part of the drawing, with the places where lines enter and leave it. */
export interface Drawing {
  width: number;
  height: number;
  boxes: Box[];
  frames: Frame[];
  edges: Edge[];
  enter: [number, number][];
  leave: [number, number];
}

export const BOX = { width: 228, height: 46 };
const GAP = 26;
const BESIDE = 22;
const PAD = 14;
const LABEL = 20;

const FAMILIES: [RegExp, string][] = [
  [/^(Merge)$/, "merge"],
  [/Conv|Pooling|Padding|Cropping|UpSampling/, "image"],
  [/LSTM|GRU|RNN|Bidirectional|TimeDistributed|Masking|RepeatVector/, "sequence"],
  [/Embedding/, "embedding"],
  [/Dropout|Noise|Normalization|Regularization/, "noise"],
  [/Dense|Highway|Maxout/, "dense"],
];

export function familyOf(className: string): string {
  return FAMILIES.find(([pattern]) => pattern.test(className))?.[1] ?? "plain";
}

/** Draw a model, from its inputs on. */
export function draw(rows: Row[]): Drawing {
  return shifted(chain(rows), 1, 1);
}

function chain(rows: Row[]): Drawing {
  const parts = rows.map(part);
  const width = Math.max(BOX.width, ...parts.map((each) => each.width));
  let y = 0;
  const placed = parts.map((each) => {
    const moved = shifted(each, (width - each.width) / 2, y);
    y += each.height + GAP;
    return moved;
  });
  const between = placed.slice(1).flatMap((each, index) => each.enter.map((to) => ({ from: placed[index]!.leave, to })));
  return {
    ...together(placed), width, height: Math.max(0, y - GAP),
    edges: [...placed.flatMap((each) => each.edges), ...between],
    enter: placed[0]?.enter ?? [], leave: placed.at(-1)?.leave ?? [0, 0],
  };
}

function part(row: Row): Drawing {
  if (row.branches?.length) return merged(row);
  if (row.layers) return framed(chain(row.layers), `${row.class_name} ${row.name}`);
  return single(row);
}

/** A Merge counts those of its branches as its own; they are written there. */
function ownParameters({ branches, parameters }: Row): string {
  return parameters && !branches ? `${whole(parameters)} parameters` : "";
}

function single(row: Row): Drawing {
  const box: Box = {
    ...BOX, x: 0, y: 0, title: row.class_name, name: row.name, family: familyOf(row.class_name),
    note: row.output_shape ? shape(row.output_shape) : "", size: ownParameters(row),
  };
  const middle = BOX.width / 2;
  return { ...BOX, boxes: [box], frames: [], edges: [], enter: [[middle, 0]], leave: [middle, BOX.height] };
}

/** Branches side by side, and below them what joins them. */
function merged(row: Row): Drawing {
  let x = 0;
  const branches = row.branches!.map(({ name, layers }) => {
    const moved = shifted(framed(chain(layers), name), x, 0);
    x += moved.width + BESIDE;
    return moved;
  });
  const wide = x - BESIDE, tall = Math.max(...branches.map((each) => each.height));
  const width = Math.max(wide, BOX.width);
  const above = branches.map((each) => shifted(each, (width - wide) / 2, 0));
  const join = shifted(single(row), (width - BOX.width) / 2, tall + GAP + 8);
  const step = BOX.width / (above.length + 1);
  const joining = above.map((each, index) => ({ from: each.leave, to: [join.enter[0]![0] - BOX.width / 2 + step * (index + 1), join.enter[0]![1]] as [number, number] }));
  return {
    ...together([...above, join]), width, height: tall + GAP + 8 + BOX.height,
    edges: [...above.flatMap((each) => each.edges), ...joining],
    enter: above.flatMap((each) => each.enter), leave: join.leave,
  };
}

function framed(inner: Drawing, label: string): Drawing {
  const moved = shifted(inner, PAD, PAD + LABEL);
  const size = { width: inner.width + 2 * PAD, height: inner.height + 2 * PAD + LABEL };
  return { ...moved, ...size, frames: [{ x: 0, y: 0, ...size, label }, ...moved.frames] };
}

function together(parts: Drawing[]) {
  return { boxes: parts.flatMap((each) => each.boxes), frames: parts.flatMap((each) => each.frames) };
}

function shifted(drawing: Drawing, dx: number, dy: number): Drawing {
  const point = ([x, y]: [number, number]): [number, number] => [x + dx, y + dy];
  const move = <T extends { x: number; y: number }>(each: T): T => ({ ...each, x: each.x + dx, y: each.y + dy });
  return {
    ...drawing,
    boxes: drawing.boxes.map(move),
    frames: drawing.frames.map(move),
    edges: drawing.edges.map(({ from, to }) => ({ from: point(from), to: point(to) })),
    enter: drawing.enter.map(point),
    leave: point(drawing.leave),
  };
}
