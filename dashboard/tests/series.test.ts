import assert from "node:assert/strict";
import { test } from "node:test";
import { extremes, linesOf, logTicks, longer, measures, onOneAxis, positive, smooth } from "../src/series";

test("a measure and its validation are one, and the loss comes first", () => {
  assert.deepEqual(measures({ acc: [], val_acc: [], val_loss: [], loss: [], lr: [] }), ["loss", "acc", "lr"]);
});

test("what is no number leaves a gap in a line", () => {
  const [line] = linesOf({ epoch: [0, 1, 2], series: { loss: [1, "NaN", null] } }, "loss");
  assert.deepEqual(line!.points, [1, null, null]);
});

test("smoothing keeps a constant as it is from its first point on, and keeps gaps", () => {
  for (const value of smooth([3, 3, 3], 0.9)) assert.ok(Math.abs(value! - 3) < 1e-12);
  assert.equal(smooth([1, null, 2], 0.5)[1], null);
});

test("a smoothed line lies between its points", () => {
  const even = smooth([0, 1, 0, 1, 0], 0.6);
  assert.ok(even.slice(1).every((value) => value! > 0 && value! < 1));
});

test("a logarithm shows nothing of what is not positive", () => {
  assert.deepEqual(positive([1, 0, -1, null]), [1, null, null, null]);
});

test("lines of different epochs share an axis", () => {
  const { x, points } = onOneAxis([{ x: [0, 2], points: [5, 6] }, { x: [1, 2], points: [7, 8] }]);
  assert.deepEqual(x, [0, 1, 2]);
  assert.deepEqual(points, [[5, null, 6], [null, 7, 8]]);
});

test("a history grows at its end, with gaps where a measure was not logged", () => {
  const grown = longer({ epoch: [0], series: { loss: [1] } }, { epoch: [1], series: { loss: [2], val_loss: [3] } });
  assert.deepEqual(grown, { epoch: [0, 1], series: { loss: [1, 2], val_loss: [null, 3] } });
});

test("a logarithmic axis always has some lines, all of them within it", () => {
  for (const [low, high] of [[0.9, 1.3], [1e-9, 1e3], [0.001, 0.5], [3, 4], [1, 10], [0.0101, 0.0102]] as const) {
    const ticks = logTicks(low, high);
    assert.ok(ticks.length >= 2 && ticks.length <= 14, `${low} to ${high}: ${ticks}`);
    assert.ok(ticks.every((tick) => tick >= low && tick <= high), `${low} to ${high}: ${ticks}`);
  }
});

test("extremes know nothing of gaps", () => {
  assert.deepEqual(extremes([null, 2, 1, null]), { last: 1, least: 1, most: 2 });
  assert.deepEqual(extremes([]), { last: null, least: null, most: null });
});
