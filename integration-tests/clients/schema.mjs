// Says what is wrong with values by JSON Schema 2020-12: [{ schema, value }, ..] on standard input, a list of faults for
// each on standard output.
import { Ajv2020 } from "ajv/dist/2020.js";
import { text } from "node:stream/consumers";

/** @type {{ schema: object, value: unknown }[]} */
const pairs = JSON.parse(await text(process.stdin));
const faults = pairs.map(({ schema, value }) => {
  // Formats like int64 are told to people; what is checked is the type. Words of OpenAPI are none of JSON Schema.
  const ajv = new Ajv2020({ allErrors: true, strict: false, validateFormats: false });
  const fits = ajv.compile(schema);
  return fits(value) ? [] : (fits.errors ?? []).map((e) => `${e.instancePath} ${e.message}`);
});
process.stdout.write(JSON.stringify(faults));
