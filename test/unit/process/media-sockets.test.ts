import { expect, it } from 'vitest';
import type { Logger } from '../../../src/log/logger.js';
import { mediaBinder } from '../../../src/process/media-sockets.js';

function bindWith(granted: number, wanted: number) {
  const lines: unknown[] = [];
  const log = { warn: (fields: unknown) => lines.push(fields) };
  const bindUdp = (_address: string, port: number) => ({ fd: 7, port, receiveBuffer: granted * 2 });
  return { bind: mediaBinder({ bindUdp }, wanted, log as unknown as Logger), lines };
}

it('binds without a word where the kernel grants what was asked for', () => {
  const { bind, lines } = bindWith(4096, 4096);
  expect(bind('192.0.2.1', 20_000)).toEqual({ fd: 7, port: 20_000 });
  expect(lines).toEqual([]);
});

it('says once how to get larger receive buffers', () => {
  const { bind, lines } = bindWith(212_992, 4_194_304);
  for (const port of [20_000, 20_001]) bind('192.0.2.1', port);
  expect(lines).toEqual([{ wanted: 4_194_304, granted: 212_992, fix: 'sudo sysctl -w net.core.rmem_max=4194304' }]);
});
