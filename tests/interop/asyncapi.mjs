// Reads AsyncAPI documents from stdin, a JSON list, and prints a list with the errors of each.
import { Parser } from "@asyncapi/parser";
import { json } from "node:stream/consumers";

const found = [];
for (const document of await json(process.stdin)) {
  const { diagnostics } = await new Parser().parse(document);
  const errors = diagnostics.filter(({ severity }) => severity === 0);
  found.push(errors.map(({ message, path }) => `${path.join("/")}: ${message}`));
}
console.log(JSON.stringify(found));
