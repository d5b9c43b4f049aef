// Writes the generated pages of docs/ from the option table, the table of errors and the commands.
// Needs a build (npm run build); a unit test tells when the pages are not current.
import { writeFileSync } from 'node:fs';
import { generateDocs } from '../dist/cli/docs.js';

for (const [name, text] of Object.entries(generateDocs())) {
  writeFileSync(new URL(`../docs/${name}`, import.meta.url), text);
}
