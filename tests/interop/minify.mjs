// Prints the module of the given path, minified.
import { readFileSync } from "node:fs";
import { argv } from "node:process";

import { minifySync } from "rolldown/experimental";

const source = readFileSync(argv[2], "utf8");
const { code, errors } = minifySync("livejobs.js", source, { module: true });
if (errors?.length) throw new Error(errors.map((error) => error.message).join("\n"));
console.log(`// Made from src/livejobs.js by scripts/minify.\n${code}`);
