/** A model: its drawing, and the same as a table. */

import { useMemo } from "preact/hooks";
import { Refusal, send } from "./api";
import { bytes, shape, whole } from "./format";
import { useLoad } from "./hooks";
import type { Edge } from "./layout";
import { draw, familyOf } from "./layout";
import type { Job, Json, Row, Shape, Validation } from "./types";
import { Sorry } from "./ui";

/** What of a job says how its model looks; the rest may name things that are gone. */
const PARTS = ["model", "compile", "fit", "evaluate", "predict", "session", "dim_ordering"];

/** Of a layer's class and name together, in its box. */
const MOST_LETTERS = 29;
/** So far above its end a line begins to turn. */
const TURN = 34;

export function JobModel({ job }: { job: Job }) {
  const definition = job.definition ?? {};
  const asked = JSON.stringify(Object.fromEntries(Object.entries(definition).filter(([name]) => PARTS.includes(name))));
  const found = useLoad<Validation>((signal) => send("/v1/validations", asked, { signal }), [job.id]);
  if (found === null) return <div aria-busy="true" class="waiting" />;
  if (found instanceof Refusal) return <Outline definition={definition} refusal={found} />;
  return <Model found={found} />;
}

export function Model({ found }: { found: Validation }) {
  const { trainable, frozen, total } = found.parameters;
  return (
    <div class="model">
      <dl class="facts">
        <Fact name="Parameters" value={whole(total)} note={frozen ? `${whole(trainable)} trainable, ${whole(frozen)} frozen` : "all trainable"} />
        <Fact name="Input" value={found.inputs.map((each) => shape(each.shape)).join("  +  ")} />
        <Fact name="Output" value={found.outputs.map((each) => shape(each.shape)).join("  +  ")} />
        {found.estimate.memory_bytes !== undefined && <Fact name="Memory" value={`about ${bytes(found.estimate.memory_bytes)}`} />}
        {!!found.estimate.total_steps && <Fact name="Steps" value={whole(found.estimate.total_steps)} note={`${whole(found.estimate.steps_per_epoch ?? 0)} per epoch`} />}
      </dl>
      <div class="side-by-side">
        <Diagram rows={found.layers} />
        <LayerTable rows={found.layers} />
      </div>
    </div>
  );
}

export function Fact({ name, value, note }: { name: string; value: string; note?: string }) {
  return <div><dt>{name}</dt><dd>{value}{note && <small>{note}</small>}</dd></div>;
}

export function Diagram({ rows }: { rows: Row[] }) {
  const drawing = useMemo(() => draw(rows), [rows]);
  const names = drawing.boxes.map((box) => box.title).join(", ");
  return (
    <div class="diagram scroll" tabIndex={0} role="region" aria-label="Drawing of the model">
      <svg width={drawing.width + 2} height={drawing.height + 2} viewBox={`0 0 ${drawing.width + 2} ${drawing.height + 2}`}
        role="img" aria-label={`${drawing.boxes.length} layers from top to bottom: ${names}`}>
        {drawing.frames.map((frame) => (
          <g key={`${frame.x} ${frame.y}`} class="frame">
            <rect x={frame.x} y={frame.y} width={frame.width} height={frame.height} rx="12" />
            <text x={frame.x + 14} y={frame.y + 20}>{frame.label}</text>
          </g>
        ))}
        {drawing.edges.map((edge, index) => <path key={index} class="edge" d={curve(edge)} />)}
        {drawing.boxes.map((box) => (
          <g key={`${box.x} ${box.y}`} class={`box ${box.family}`} transform={`translate(${box.x} ${box.y})`}>
            <title>{`${box.title} ${box.name}: ${box.note}`}</title>
            <rect width={box.width} height={box.height} rx="8" />
            <path class="edge-mark" d={`M1.5 10v${box.height - 20}`} />
            <text class="title" x="14" y="19">{box.title}</text>
            <text class="name" x={box.width - 12} y="19">{clipped(box.name, MOST_LETTERS - box.title.length)}</text>
            <text class="note" x="14" y="36">{box.note}</text>
            <text class="name" x={box.width - 12} y="36">{box.size}</text>
          </g>
        ))}
      </svg>
    </div>
  );
}

function clipped(text: string, most: number): string {
  if (most < 4) return "";
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function curve({ from: [x1, y1], to: [x2, y2] }: Edge): string {
  const from = Math.max(y1, y2 - TURN), middle = (from + y2) / 2;
  return x1 === x2 ? `M${x1} ${y1}V${y2}` : `M${x1} ${y1}V${from}C${x1} ${middle} ${x2} ${middle} ${x2} ${y2}`;
}

export function LayerTable({ rows }: { rows: Row[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Layers">
      <table class="plain">
        <thead>
          <tr><th scope="col">Layer</th><th scope="col">Output</th><th scope="col" class="right">Parameters</th></tr>
        </thead>
        <tbody>{rows.map((row, index) => <LayerRow key={index} row={row} depth={0} />)}</tbody>
      </table>
    </div>
  );
}

function LayerRow({ row, depth }: { row: Row; depth: number }) {
  const inner = row.branches?.flatMap((branch) => branch.layers) ?? [];
  return (
    <>
      {inner.map((each, index) => <LayerRow key={`b${index}`} row={each} depth={depth + 1} />)}
      <tr>
        <td class={`depth-${Math.min(depth, 4)}`}>
          <span class={`dot ${familyOf(row.class_name)}`} aria-hidden="true" />{row.class_name} <span class="dim">{row.name}</span>
        </td>
        <td class="mono">{shape(row.output_shape)}</td>
        <td class="right">{row.branches || row.layers ? <span class="dim" title="Of all the layers in it">Σ {whole(row.parameters)}</span> : whole(row.parameters)}</td>
      </tr>
      {row.layers?.map((each, index) => <LayerRow key={`l${index}`} row={each} depth={depth + 1} />)}
    </>
  );
}

/** Without the gateway's arithmetic, because data is gone that the job was fed: the layers without their shapes. */
function Outline({ definition, refusal }: { definition: Record<string, Json>; refusal: Refusal }) {
  const rows = outline(definition.model);
  return (
    <>
      <p class="note">Drawn without shapes, for the job could not be checked again: {refusal.message}</p>
      {rows.length ? <Diagram rows={rows} /> : <Sorry refusal={refusal} />}
    </>
  );
}

type Described = { class_name?: string; name?: string; config?: Json };

function outline(model: Json | undefined): Row[] {
  const layers = (model as Described | undefined)?.config;
  if (!Array.isArray(layers)) return [];
  return (layers as Described[]).map((layer) => {
    const config = (layer.config ?? {}) as { name?: string; layers?: Described[] };
    const row: Row = {
      name: config.name ?? layer.name ?? "", class_name: layer.class_name ?? "?",
      input_shape: [], output_shape: undefined as unknown as Shape, parameters: 0,
    };
    if (layer.class_name === "Sequential") row.layers = outline(layer as Json);
    if (layer.class_name === "Merge" && config.layers) {
      row.branches = config.layers.map((each) => ({ name: each.name ?? "", layers: outline(each as Json) }));
    }
    return row;
  });
}
