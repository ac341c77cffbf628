// Prints the page beside the given module, with the module and all that it imports inside it.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { argv } from "node:process";

import { rolldown } from "rolldown";

const treeshake = { moduleSideEffects: false };
const external = /\/livejobs\.js$/; // no import of it may stay
const bundle = await rolldown({ input: argv[2], treeshake, external });
const { output } = await bundle.generate({ format: "esm", minify: true });
const code = output[0].code.trim();
if (/<\/script|<!--|\bimport\b/.test(code)) throw new Error("the script does not fit into a page");
const page = readFileSync(join(dirname(argv[2]), "page.html"), "utf8");
console.log(page.replace("<!-- script -->", () => code).trimEnd());
