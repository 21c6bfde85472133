import assert from "node:assert/strict";
import { test } from "node:test";
import { marksOf, readJson } from "../src/pointers";

const TEXT = `{
  "model": {
    "config": [
      {"class_name": "Dense", "config": {"output_dim": -1}},
      {
        "class_name": "Dense",
        "config": {
          "a/b": 1
        }
      }
    ]
  },
  "fit": {}
}`;

function lineOf(pointer: string): number {
  return marksOf([{ pointer, detail: "" }], TEXT, readJson(TEXT).tree)[0]!.line + 1;
}

test("a pointer leads to the line of what it names", () => {
  assert.equal(lineOf("/model/config/0/config/output_dim"), 4);
  assert.equal(lineOf("/model/config/1"), 5);
  assert.equal(lineOf("/fit"), 13);
});

test("an escaped name is read", () => {
  assert.equal(lineOf("/model/config/1/config/a~1b"), 8);
});

test("what is missing is marked at what it is missing from", () => {
  assert.equal(lineOf("/model/config/1/config/output_dim"), 7);
  assert.equal(lineOf("/fit/x"), 13);
  assert.equal(lineOf("/compile"), 1);
  assert.equal(lineOf(""), 1);
});

test("the first fault of a text is told in words and at its line", () => {
  const { fault } = readJson('{\n  "a": 1,\n}');
  assert.equal(fault!.line, 2);
  assert.match(fault!.detail, /comma too many/);
  assert.equal(readJson("{}").fault, null);
});

test("comments and half a text are faults", () => {
  assert.match(readJson("{} // no").fault!.detail, /no comments/);
  assert.match(readJson('{"a": [1, 2').fault!.detail, /missing/);
});
