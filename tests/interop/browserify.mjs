// Prints the module of the given path with all that it imports, for a browser.
import { argv } from "node:process";

import { rolldown } from "rolldown";

const bundle = await rolldown({ input: argv[2], platform: "browser" });
const { output } = await bundle.generate({ format: "esm", codeSplitting: false });
console.log(output[0].code);
