// Runs a graph on rows in LiteRT.js, the library of browsers, under Node:
//   node litertjs.mjs NODE_MODULES GRAPH.tflite ROWS.f32 ANSWERS.f32
// NODE_MODULES is the folder that `npm install @litertjs/core` made. ROWS holds rows of
// float32 of the graph's input, one behind the other; ANSWERS gets as many rows of its output.
import {readFileSync, writeFileSync} from 'node:fs';
import {createRequire} from 'node:module';
import path from 'node:path';
import {pathToFileURL} from 'node:url';
import vm from 'node:vm';

const [modules, graph, rowsFile, answersFile] = process.argv.slice(2);
const core = path.resolve(modules, '@litertjs/core');
const local = (url) => String(url).replace('file://', '');

// What a browser's worker has and Node has not, as far as the library asks for it.
globalThis.self = globalThis;
globalThis.require = createRequire(import.meta.url);
globalThis.__dirname = path.join(core, 'wasm');
globalThis.__filename = path.join(core, 'wasm', 'worker.js');
globalThis.importScripts = (...urls) => {
  for (const url of urls) {
    vm.runInThisContext(readFileSync(local(url), 'utf8'), {filename: local(url)});
  }
};
globalThis.fetch = async (url) =>
  new Response(readFileSync(local(url)), {headers: {'content-type': 'application/wasm'}});

const {loadLiteRt, loadAndCompile, Tensor} = await import(
  pathToFileURL(path.join(core, 'dist', 'index.js')).href
);
await loadLiteRt(path.join(core, 'wasm') + path.sep, {threads: false});
const model = await loadAndCompile(new Uint8Array(readFileSync(graph)), {accelerator: 'wasm'});
const shape = [...model.getInputDetails()[0].shape];
const width = shape.reduce((product, size) => product * size, 1);
const bytes = readFileSync(rowsFile);
const rows = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);

const answers = [];
for (let start = 0; start < rows.length; start += width) {
  const input = new Tensor(rows.slice(start, start + width), shape);
  const [output] = await model.run([input]);
  answers.push(...(await output.data()));
  input.delete();
  output.delete();
}
writeFileSync(answersFile, new Uint8Array(new Float32Array(answers).buffer));
const version = JSON.parse(readFileSync(path.join(core, 'package.json'), 'utf8')).version;
process.stdout.write(`@litertjs/core ${version}, Node ${process.versions.node}\n`);
process.exit(0);
