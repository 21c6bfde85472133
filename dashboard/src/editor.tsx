/** A text field for JSON: numbered lines, colours, and what is wrong beside the line where it is. */

import { useMemo, useRef } from "preact/hooks";
import type { Mark } from "./pointers";

/** Colouring a longer text at each key would be felt. */
const MOST_COLOURED = 200_000;
const TOKEN = /"(?:\\.|[^"\\\n])*"?(\s*:)?|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\b(?:true|false|null)\b/g;
/** As in the style sheet, where a line is this high. */
const LINE_PX = 20;

export function Editor({ text, change, marks, submit }: {
  text: string; change: (text: string) => void; marks: Mark[]; submit: () => void;
}) {
  const field = useRef<HTMLTextAreaElement>(null);
  const under = useRef<HTMLDivElement>(null);
  const gutter = useRef<HTMLDivElement>(null);
  const count = useMemo(() => text.split("\n").length, [text]);
  const bad = new Map(marks.map((mark) => [mark.line, mark]));
  const scrolled = () => {
    const { scrollLeft, scrollTop } = field.current!;
    under.current!.style.transform = `translate(${-scrollLeft}px, ${-scrollTop}px)`;
    gutter.current!.style.transform = `translateY(${-scrollTop}px)`;
  };
  const typed = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      submit();
    }
  };
  const jump = (line: number) => {
    const start = text.split("\n").slice(0, line).join("\n").length + (line > 0 ? 1 : 0);
    const end = text.indexOf("\n", start);
    field.current!.focus();
    field.current!.setSelectionRange(start, end === -1 ? text.length : end);
    field.current!.scrollTop = Math.max(0, line * LINE_PX - field.current!.clientHeight / 2);
  };
  return (
    <>
      <div class="editor">
        <div class="gutter" aria-hidden="true">
          <div ref={gutter}>
            {Array.from({ length: count }, (_, line) => <span key={line} class={bad.has(line) ? "bad" : ""}>{line + 1}</span>)}
          </div>
        </div>
        <div class="sheet">
          <div class="under" ref={under} aria-hidden="true">
            {[...bad.values()].map((mark) => <Strip key={mark.line} mark={mark} text={text} />)}
            <pre>{useMemo(() => coloured(text), [text])}</pre>
          </div>
          <textarea ref={field} value={text} aria-label="Job as JSON" spellcheck={false} autocomplete="off" autocapitalize="off" wrap="off"
            aria-invalid={marks.length > 0} aria-describedby="faults"
            onInput={(event) => change(event.currentTarget.value)} onScroll={scrolled} onKeyDown={typed} />
        </div>
      </div>
      <Faults marks={marks} jump={jump} />
    </>
  );
}

function Strip({ mark, text }: { mark: Mark; text: string }) {
  const length = text.split("\n")[mark.line]?.length ?? 0;
  return (
    <div class="strip" style={{ top: `${mark.line * LINE_PX}px` }}>
      <span style={{ marginLeft: `${length + 2}ch` }}>{mark.detail}</span>
    </div>
  );
}

function Faults({ marks, jump }: { marks: Mark[]; jump: (line: number) => void }) {
  return (
    <ul id="faults" class="faults" aria-live="polite" aria-label="What is wrong">
      {marks.map((mark, index) => (
        <li key={index}>
          <button type="button" class="quiet" onClick={() => jump(mark.line)}>
            <span class="where">line {mark.line + 1}</span>
            <span>{mark.detail}{mark.pointer && <code>{mark.pointer}</code>}</span>
          </button>
        </li>
      ))}
    </ul>
  );
}

function coloured(text: string) {
  if (text.length > MOST_COLOURED) return text;
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [token, colon] = match;
    parts.push(text.slice(from, match.index));
    const kind = colon ? "name" : token.startsWith('"') ? "text" : /^[tfn]/.test(token) ? "word" : "digits";
    parts.push(<span class={kind}>{token}</span>);
    from = match.index + token.length;
  }
  // A last empty line has a height only with something in it.
  return [...parts, text.slice(from), "\n"];
}
