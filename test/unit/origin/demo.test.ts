import { expect, it } from 'vitest';
import { runOrigin } from '../../../src/origin/command.js';
import { renderDemo, startDemoOrigins } from '../../../src/origin/demo.js';
import { RawClient } from './raw-client.js';

it('the demo has two origins that can be told apart', async () => {
  const demo = await startDemoOrigins();
  const names: (string | undefined)[] = [];
  for (const { address } of demo.origins) {
    const client = await RawClient.open(address);
    names.push((await client.ask('OPTIONS', '*')).headers.get('Server'));
    await client.close();
  }
  expect(names).toEqual(['penstock-origin/left', 'penstock-origin/right']);
  expect(demo.servers).toEqual(demo.origins.map(({ url }) => url.replace('rtsp://', '')));
  const text = renderDemo('rtsp://127.0.0.1:8554', demo.origins);
  for (const { url } of demo.origins) expect(text).toContain(url);
  expect(text).toContain('ffplay -rtsp_transport udp rtsp://127.0.0.1:8554/live');
  await demo.close();
});

it('the command says ready with its address, and its counts at the end', async () => {
  const lines: { message: string; fields: object }[] = [];
  const stop = new AbortController();
  const log = {
    info(fields: object, message: string) {
      lines.push({ message, fields });
      if (message === 'ready') stop.abort();
    },
  };
  await runOrigin({ host: '127.0.0.1', port: 0, log, signal: stop.signal });
  expect(lines).toEqual([
    {
      message: 'ready',
      fields: { listen: [expect.stringMatching(/^rtsp:\/\/127\.0\.0\.1:\d+$/)], name: 'origin', mounts: 'any path' },
    },
    { message: 'stopped', fields: { stats: expect.objectContaining({ connections: 0, setups: 0 }) } },
  ]);
});
