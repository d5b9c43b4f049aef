// `npm start` shows the demo; `npm start -- serve --listen …` runs any command.
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './lib/run.mjs';

const main = join(ROOT, 'dist', 'main.js');
const args = process.argv.slice(2);
// In this process: signals and the terminal reach the command as if it had been called itself.
process.argv = [process.argv[0], main, ...(args.length > 0 ? args : ['demo'])];
await import(pathToFileURL(main).href);
