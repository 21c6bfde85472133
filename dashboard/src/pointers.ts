/** From a JSON pointer to the line of the text that it points at. */

import type { Node, ParseError } from "jsonc-parser";
import { findNodeAtLocation, parseTree, printParseErrorCode } from "jsonc-parser";
import type { Fault } from "./types";

export interface Mark {
  /** From 0. */
  line: number;
  pointer: string;
  detail: string;
}

const STRICT = { disallowComments: true, allowTrailingComma: false };

/** What keeps the text from being JSON, in words. */
const SYNTAX: Record<string, string> = {
  InvalidSymbol: "This is no JSON value.",
  InvalidNumberFormat: "This is no JSON number.",
  PropertyNameExpected: "A name in double quotes belongs here; is there a comma too many?",
  ValueExpected: "A value belongs here; is there a comma too many?",
  ColonExpected: "A colon belongs here.",
  CommaExpected: "A comma belongs here.",
  CloseBraceExpected: "A } is missing.",
  CloseBracketExpected: "A ] is missing.",
  EndOfFileExpected: "The text goes on after its end.",
  UnexpectedEndOfString: "This text has no closing quote.",
  InvalidCommentToken: "JSON has no comments.",
};

export function lineAt(text: string, offset: number): number {
  let line = 0;
  for (let at = text.indexOf("\n"); at !== -1 && at < offset; at = text.indexOf("\n", at + 1)) line++;
  return line;
}

export interface Reading {
  tree: Node | undefined;
  /** The first fault of the text itself; what follows it is mostly its consequence. */
  fault: Mark | null;
}

export function readJson(text: string): Reading {
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, STRICT);
  const first = errors[0];
  if (!first) return { tree, fault: null };
  const code = printParseErrorCode(first.error);
  return { tree, fault: { line: lineAt(text, first.offset), pointer: "", detail: SYNTAX[code] ?? code } };
}

/** Give each fault the line of what it points at, or of the nearest thing around it that is there. */
export function marksOf(faults: Fault[], text: string, tree: Node | undefined): Mark[] {
  return faults.map(({ pointer = "", detail }) => ({ pointer, detail, line: lineOf(pointer, text, tree) }));
}

function lineOf(pointer: string, text: string, tree: Node | undefined): number {
  if (!tree) return 0;
  const path = pointer.split("/").slice(1).map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
  for (let length = path.length; length > 0; length--) {
    const node = find(tree, path.slice(0, length));
    // The name of a property says more than a value that begins a line below it.
    if (node) return lineAt(text, node.parent?.type === "property" ? node.parent.offset : node.offset);
  }
  return lineAt(text, tree.offset);
}

function find(tree: Node, path: string[]): Node | undefined {
  let node: Node | undefined = tree;
  for (const part of path) {
    node = node && findNodeAtLocation(node, [node.type === "array" ? Number(part) : part]);
  }
  return node;
}
