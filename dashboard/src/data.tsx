/** The data there is, by the references that a job names it with; and a way to bring more. */

import { useRef, useState } from "preact/hooks";
import { all, Refusal, send } from "./api";
import { bytes } from "./format";
import { useLoad } from "./hooks";
import type { Dataset } from "./types";

const PAGES = 1;

export function Data({ insert }: { insert: (reference: string) => void }) {
  const [version, setVersion] = useState(0);
  const found = useLoad<Dataset[]>(() => all<Dataset>("/v1/datasets", PAGES), [version]);
  const sets = Array.isArray(found) ? found.filter(({ state }) => state === "ready") : [];
  return (
    <section class="data" aria-label="Data">
      <h2>Data</h2>
      <Upload done={() => setVersion(version + 1)} />
      {sets.length === 0 && <p class="dim">No data yet. A job may also do with <code>{'{"random": [100, 20]}'}</code> or a short list of numbers.</p>}
      <ul>
        {sets.map((set) => (
          <li key={set.id}>
            <span>{set.name} <span class="dim">{set.format} · {bytes(set.bytes)}</span></span>
            <span class="arrays">
              {Object.entries(set.arrays).map(([name, { shape, dtype }]) => {
                const reference = `${set.id}/${name}`;
                return (
                  <button key={name} class="chip" onClick={() => insert(reference)} title={`Insert ${reference} (${dtype}) at the cursor`}>
                    {name} <span class="dim">{shape.join(" × ")}</span>
                  </button>
                );
              })}
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Upload({ done }: { done: () => void }) {
  const field = useRef<HTMLInputElement>(null);
  const [word, setWord] = useState("");
  const upload = async () => {
    const file = field.current?.files?.[0];
    if (!file) return;
    const form = new FormData();
    form.set("name", file.name.replace(/\.\w+$/, ""));
    form.set("file", file);
    setWord(`Uploading ${file.name}…`);
    try {
      await send("/v1/datasets", undefined, { body: form });
      setWord(`${file.name} has arrived.`);
      done();
    } catch (error) {
      setWord(error instanceof Refusal ? error.message : "The gateway does not answer; try again.");
    }
    field.current!.value = "";
  };
  return (
    <p class="upload">
      <label class="button">Upload a file<input ref={field} class="hidden" type="file" accept=".npz,.npy,.csv,.parquet,.json" onChange={upload} /></label>
      <span class="dim" role="status">{word || ".npz, .npy, .csv, .parquet or .json"}</span>
    </p>
  );
}
