import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { networkInterfaces } from '../../../src/cli/network-interfaces.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-sys-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const usual = { type: '1', flags: '0x1003', uevent: 'INTERFACE=x\nIFINDEX=2', ifindex: '2', iflink: '2' };

function add(name: string, files: Record<string, string>): void {
  for (const [file, text] of Object.entries({ ...usual, ...files })) {
    const path = join(folder, name, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `${text}\n`);
  }
}

it('tells of cards and virtual pairs what the kernel shows', () => {
  add('eth0', { gro_flush_timeout: '20000', 'queues/rx-0/rps_cpus': '00000000,00000000', 'queues/rx-1/rps_cpus': '0' });
  add('eth1', {
    iflink: '9',
    gro_flush_timeout: '0',
    'queues/rx-0/rps_cpus': '00000000,00000003',
    'queues/tx-0/x': '',
  });
  expect(networkInterfaces(folder)).toEqual([
    { name: 'eth0', pair: false, groFlushTimeoutNs: 20_000, receiveQueues: 2, spread: false },
    { name: 'eth1', pair: true, groFlushTimeoutNs: 0, receiveQueues: 1, spread: true },
  ]);
});

it('leaves out what is down, no Ethernet, or receives by others', () => {
  add('down', { flags: '0x1002' });
  add('lo', { type: '772' });
  add('br0', { uevent: 'DEVTYPE=bridge\nINTERFACE=br0' });
  expect(networkInterfaces(folder)).toEqual([]);
  expect(networkInterfaces(join(folder, 'nowhere'))).toEqual([]);
});
