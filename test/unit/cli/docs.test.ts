import { existsSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { generateDocs } from '../../../src/cli/docs.js';
import { OPTIONS } from '../../../src/config/schema.js';
import { ERRORS } from '../../../src/errors.js';

const docs = generateDocs();

describe('generated pages', () => {
  it.each(Object.entries(docs))(
    'docs/%s is current (else: npm run build && node scripts/generate-docs.mjs)',
    (name, text) => {
      const file = new URL(`../../../docs/${name}`, import.meta.url);
      expect(existsSync(file)).toBe(true);
      expect(readFileSync(file, 'utf8')).toBe(text);
    },
  );

  it('name every option and every error', () => {
    for (const key of Object.keys(OPTIONS)) expect(docs['configuration.md']).toContain(`| \`${key}\``);
    for (const key of Object.keys(OPTIONS)) expect(docs['cli.md']).toContain(`--${key}`);
    for (const code of Object.keys(ERRORS)) expect(docs['errors.md']).toContain(`| \`${code}\` |`);
  });
});
