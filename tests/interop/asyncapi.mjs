// Reads an AsyncAPI document from stdin and prints its errors, one a line.
import { Parser } from "@asyncapi/parser";
import { text } from "node:stream/consumers";

const { diagnostics } = await new Parser().parse(await text(process.stdin));
for (const { severity, message, path } of diagnostics) {
  if (severity === 0) console.log(`${path.join("/")}: ${message}`);
}
