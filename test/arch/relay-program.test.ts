import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const text = (name: string): string => readFileSync(new URL(`../../native/offload/${name}`, import.meta.url), 'utf8');

it('the compiled BPF program is that of the sources beside it', () => {
  const sources = createHash('sha256').update(text('relay.bpf.c')).update(text('relay_format.h')).digest('hex');
  // If not: node scripts/build-bpf.mjs
  expect(/^\/\/ sources: (.*)$/m.exec(text('relay_program.inc'))?.[1]).toBe(sources);
});
