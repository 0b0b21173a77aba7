// Reads a JSON document a line; writes for each a JSON array of three strings:
// its text with sorted members, its text as it is, and the signature of the latter.
// Arguments: input, output, secret. A line with a "signature" next to its "document"
// has that checked instead of writing one: the third is then true or false.
import { createHmac, timingSafeEqual } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";

const [input, output, secret] = process.argv.slice(2);

// JSON.stringify's own order puts integer-like names first, so the sorted text is
// put together by hand; scalars are left to JSON.stringify.
function sorted(value) {
  if (Array.isArray(value)) return "[" + value.map(sorted).join(",") + "]";
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const names = Object.keys(value).sort();
  return "{" + names.map((name) => JSON.stringify(name) + ":" + sorted(value[name])).join(",") + "}";
}

const lines = [];
for (const line of readFileSync(input, "utf8").split("\n")) {
  if (line === "") continue;
  const { document, signature } = JSON.parse(line);
  const text = JSON.stringify(document);
  const hex = createHmac("sha256", secret).update(text).digest("hex");
  const third = signature === undefined ? hex : timingSafeEqual(Buffer.from(hex), Buffer.from(signature));
  lines.push(JSON.stringify([sorted(document), text, third]));
}
writeFileSync(output, lines.join("\n"));
