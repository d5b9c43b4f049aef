import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';

const EXAMPLES = fileURLToPath(new URL('../../../examples/', import.meta.url));
const names = readdirSync(EXAMPLES).filter((name) => name.endsWith('.yaml'));

describe('examples', () => {
  it('are there', () => {
    expect(names).toContain('farm.yaml');
  });

  it.each(names)('%s loads without a fault or a warning', (name) => {
    const { config, warnings } = loadConfig({ flags: { config: `${EXAMPLES}${name}` }, env: {} });
    expect(warnings).toEqual([]);
    expect(config.vservers.every((vserver) => vserver.services.length > 0)).toBe(true);
  });

  it('farm.yaml says what its comments say', () => {
    const { config } = loadConfig({ flags: { config: `${EXAMPLES}farm.yaml` }, env: {} });
    const [cameras, archive] = config.vservers;
    expect(cameras?.services.map(({ name, weight, monitor }) => [name, weight, monitor.kind])).toEqual([
      ['cam-1', 3, 'describe'],
      ['cam-2', 1, 'options'],
      ['cam-3', 2, 'options'],
    ]);
    expect(archive?.method).toBe('url-hash');
    expect(config.clientTimeoutMs).toBe(120_000);
  });
});
