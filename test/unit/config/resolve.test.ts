import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { resolveConfig } from '../../../src/config/resolve.js';

const spec = (...server: string[]) => loadConfig({ flags: { server }, env: {} }).config;
const names: Record<string, string> = { 'cam-1': '10.0.0.1', 'cam-2': '2001:DB8::2' };

async function find(host: string): Promise<string> {
  const address = names[host];
  if (address === undefined) throw new Error('not found');
  return address;
}

describe('resolveConfig', () => {
  it('keeps the name and adds the address', async () => {
    const config = await resolveConfig(spec('cam-1', 'cam-2:8554', '10.0.0.9', '[::1]'), find);
    expect(config.vservers[0]?.services.map(({ host, ip }) => [host, ip])).toEqual([
      ['cam-1', '10.0.0.1'],
      ['cam-2', '2001:db8::2'],
      ['10.0.0.9', '10.0.0.9'],
      ['::1', '::1'],
    ]);
  });

  it('names every host that has no address', async () => {
    const resolved = resolveConfig(spec('cam-1', 'cam-3', 'cam-4'), find);
    await expect(resolved).rejects.toMatchObject({
      code: 'PENSTOCK_ERR_CONFIG',
      message: 'cam-3: no address found for this name: not found\ncam-4: no address found for this name: not found',
    });
  });

  it('refuses two names of one server, since a Session id names a server by its address', async () => {
    await expect(resolveConfig(spec('cam-1', '10.0.0.1:554?name=b'), find)).rejects.toThrow(
      'vserver "default": services "cam-1:554" and "b" are both 10.0.0.1:554',
    );
  });
});
