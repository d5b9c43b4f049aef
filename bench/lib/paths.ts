import { fileURLToPath } from 'node:url';

/** The folder of package.json, seen from where this file runs: build-bench/js/bench/lib. */
export const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));
