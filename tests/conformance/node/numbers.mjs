// Reads binary64 bit patterns, 16 hex digits a line; writes JSON.stringify of each.
import { readFileSync, writeFileSync } from "node:fs";

const [input, output] = process.argv.slice(2);
const view = new DataView(new ArrayBuffer(8));
const lines = [];
for (const hex of readFileSync(input, "latin1").split("\n")) {
  if (hex === "") continue;
  view.setBigUint64(0, BigInt("0x" + hex));
  lines.push(JSON.stringify(view.getFloat64(0)));
}
writeFileSync(output, lines.join("\n"));
