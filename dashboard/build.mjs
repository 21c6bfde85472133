// Bundles the dashboard into dist/: hashed names, one page that names them, each file also compressed.
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const OUT = "dist.new";
const COMPRESSIBLE = /\.(html|js|css|svg)$/;

await rm(OUT, { recursive: true, force: true });
await mkdir(OUT);
const { metafile } = await build({
  entryPoints: ["src/main.tsx", "src/icon.svg"],
  bundle: true,
  format: "esm",
  splitting: true,
  minify: true,
  target: "es2022",
  jsx: "automatic",
  jsxImportSource: "preact",
  loader: { ".woff2": "file", ".svg": "copy" },
  entryNames: "assets/[name]-[hash]",
  chunkNames: "assets/[name]-[hash]",
  assetNames: "assets/[name]-[hash]",
  outdir: OUT,
  publicPath: "/",
  metafile: true,
  legalComments: "none",
});

const built = Object.keys(metafile.outputs).map((path) => path.slice(OUT.length + 1));
const named = (pattern) => `/${built.find((path) => pattern.test(path))}`;
// What the first page imports is fetched beside it, and not after it.
const [first] = Object.entries(metafile.outputs).filter(([, { entryPoint }]) => entryPoint === "src/main.tsx");
const ahead = first[1].imports.filter(({ kind }) => kind === "import-statement").map(({ path }) => path.slice(OUT.length + 1));
const page = (await readFile("src/index.html", "utf8"))
  .replace("{script}", named(/^assets\/main-\w+\.js$/))
  .replace("{style}", named(/^assets\/main-\w+\.css$/))
  .replace("{font}", named(/^assets\/inter-.*\.woff2$/))
  .replace("{ahead}", ahead.map((path) => `<link rel="modulepreload" href="/${path}">`).join("\n"))
  .replace("{icon}", named(/^assets\/icon-\w+\.svg$/));
await writeFile(`${OUT}/index.html`, page);

for (const entry of await readdir(OUT, { recursive: true })) {
  if (!COMPRESSIBLE.test(entry)) continue;
  const content = await readFile(`${OUT}/${entry}`);
  await writeFile(`${OUT}/${entry}.gz`, gzipSync(content, { level: 9 }));
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  await writeFile(`${OUT}/${entry}.br`, brotliCompressSync(content, { params }));
}

await rm("dist", { recursive: true, force: true });
await rename(OUT, "dist");
