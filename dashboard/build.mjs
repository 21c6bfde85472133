// Bundles the dashboard into dist/: hashed names, one page that names them, each file also compressed.
import { mkdir, readFile, readdir, rename, rm, writeFile } from "node:fs/promises";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { build } from "esbuild";

const OUT = "dist.new";
const COMPRESSIBLE = /\.(html|js|css|svg)$/;

await rm(OUT, { recursive: true, force: true });
await mkdir(OUT);
const { metafile } = await build({
  entryPoints: ["src/main.tsx", "src/docs.ts", "src/icon.svg"],
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
const parts = {
  script: named(/^assets\/main-\w+\.js$/),
  style: named(/^assets\/main-\w+\.css$/),
  font: named(/^assets\/inter-.*\.woff2$/),
  ahead: ahead.map((path) => `<link rel="modulepreload" href="/${path}">`).join("\n"),
  icon: named(/^assets\/icon-\w+\.svg$/),
  "docs-script": named(/^assets\/docs-\w+\.js$/),
  "docs-style": named(/^assets\/docs-\w+\.css$/),
};
for (const name of ["index.html", "docs.html"]) {
  const page = await readFile(`src/${name}`, "utf8");
  await writeFile(`${OUT}/${name}`, page.replace(/{([\w-]+)}/g, (_, part) => parts[part]));
}

for (const entry of await readdir(OUT, { recursive: true })) {
  if (!COMPRESSIBLE.test(entry)) continue;
  const content = await readFile(`${OUT}/${entry}`);
  await writeFile(`${OUT}/${entry}.gz`, gzipSync(content, { level: 9 }));
  const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
  await writeFile(`${OUT}/${entry}.br`, brotliCompressSync(content, { params }));
}

await rm("dist", { recursive: true, force: true });
await rename(OUT, "dist");
