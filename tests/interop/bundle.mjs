// Prints the module of the given path with all that it imports, minified. Only livejobs.js stays a
// file of its own: a page that loads both has one connection.
import { basename } from "node:path";
import { argv } from "node:process";

import { rolldown } from "rolldown";

const apart = {
  name: "apart",
  resolveId: (name) =>
    basename(name) === "livejobs.js" ? { id: "./livejobs.js", external: true } : null,
};
// Only what is used: the shared modules also have parts for the pages.
const treeshake = { moduleSideEffects: false };
const bundle = await rolldown({ input: argv[2], plugins: [apart], treeshake });
const { output } = await bundle.generate({ format: "esm", minify: true });
console.log(`// Made from src/live-job/ by scripts/minify.\n${output[0].code.trimEnd()}`);
