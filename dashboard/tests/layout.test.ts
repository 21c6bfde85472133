import assert from "node:assert/strict";
import { test } from "node:test";
import { draw } from "../src/layout";
import type { Box, Drawing } from "../src/layout";
import type { Row } from "../src/types";

const layer = (name: string, more: Partial<Row> = {}): Row => ({
  name, class_name: "Dense", input_shape: [null, 2], output_shape: [null, 3], parameters: 9, ...more,
});
const branch = (name: string, ...layers: Row[]) => ({ name, layers });
const merge = (...branches: Row["branches"] & object): Row => layer("merge", { class_name: "Merge", branches });

function overlap(a: Box, b: Box): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

function check(drawing: Drawing): void {
  const { boxes, frames, width, height } = drawing;
  for (const [index, box] of boxes.entries()) {
    for (const other of boxes.slice(index + 1)) assert.ok(!overlap(box, other), `${box.name} lies over ${other.name}`);
  }
  for (const each of [...boxes, ...frames]) {
    assert.ok(each.x >= 0 && each.y >= 0 && each.x + each.width <= width + 2 && each.y + each.height <= height + 2);
  }
}

test("a chain goes down, each layer joined to the next", () => {
  const drawing = draw([layer("a"), layer("b"), layer("c")]);
  check(drawing);
  assert.deepEqual(drawing.boxes.map((box) => box.y).toSorted((a, b) => a - b), drawing.boxes.map((box) => box.y));
  assert.equal(drawing.edges.length, 2);
});

test("branches stand side by side above what joins them", () => {
  const drawing = draw([merge(branch("left", layer("a"), layer("b")), branch("right", layer("c"))), layer("d")]);
  check(drawing);
  const [a, , c, join] = drawing.boxes;
  assert.equal(a!.y, c!.y);
  assert.ok(a!.x + a!.width < c!.x);
  assert.ok(join!.y > Math.max(...drawing.boxes.slice(0, 3).map((box) => box.y)));
  assert.equal(drawing.edges.length, 1 + 2 + 1);
});

test("a nested model lies in a frame within the frame of its branch", () => {
  const nested = layer("inner", { class_name: "Sequential", layers: [layer("x"), layer("y")] });
  const drawing = draw([merge(branch("left", nested), branch("right", merge(branch("p", layer("q")), branch("r", layer("s")))))]);
  check(drawing);
  assert.deepEqual(drawing.frames.map((frame) => frame.label), ["left", "Sequential inner", "right", "p", "r"]);
  const [outer, inner] = drawing.frames;
  assert.ok(inner!.x > outer!.x && inner!.x + inner!.width < outer!.x + outer!.width);
});

test("an empty model is an empty drawing", () => {
  assert.deepEqual(draw([]).boxes, []);
});
