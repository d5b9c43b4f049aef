import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';

/** Writes a configuration file that is there until the test ends. */
export function configFile(text: string): { folder: string; name: string } {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-config-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, 'penstock.yaml'), text);
  return { folder, name: 'penstock.yaml' };
}
