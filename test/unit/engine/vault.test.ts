import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { addonFile, loadBinding } from '../../../src/engine/binding.js';

// An address of its own: no other test, and hardly another program, takes a port of it.
const HERE = '127.0.7.1';
const ALL_LEGS = 0b1111;
const WAIT = { timeout: 20_000, interval: 5 };

const binding = loadBinding();

const openDescriptors = () => readdirSync('/proc/self/fd').length;
const isOpen = (fd: number) => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false; // EBADF, which is the question
  }
};

function bindLegs(count = 4): { fd: number; port: number }[] {
  return Array.from({ length: count }, () => binding.bindUdp(HERE, 0, { receiveBuffer: 0 }));
}

function portIsFree(port: number): boolean {
  try {
    binding.closeFd(binding.bindUdp(HERE, port, { receiveBuffer: 0 }).fd);
    return true;
  } catch (error) {
    expect((error as NodeJS.ErrnoException).code).toBe('EADDRINUSE');
    return false;
  }
}

describe('the vault', () => {
  let worker: number;
  const children: ChildProcess[] = [];

  beforeEach(() => {
    binding.vaultStart();
    const [ours, theirs] = binding.socketPair();
    worker = ours;
    binding.vaultAttachWorker(0, theirs);
  });

  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill('SIGKILL');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    }
    binding.closeFd(worker);
    binding.vaultStop();
  });

  function handOver(stream: number, generation: number): { fd: number; port: number }[] {
    const legs = bindLegs();
    const fds = legs.map(({ fd }) => fd);
    binding.handOver(worker, stream, generation, ALL_LEGS, fds);
    return legs;
  }

  const held = (streams: number) =>
    vi.waitFor(() => expect(binding.vaultStats()).toMatchObject({ streams, descriptors: streams * 4 }), WAIT);

  it('takes the sockets of a worker and keeps their ports', async () => {
    const legs = handOver(3, 1);
    await held(1);
    expect(legs.every(({ port }) => !portIsFree(port))).toBe(true);
    binding.vaultStop();
    expect(legs.every(({ port }) => portIsFree(port))).toBe(true);
    binding.vaultStart();
  });

  it('keeps the sockets of a worker that died', async () => {
    const before = openDescriptors();
    const [dying, theirs] = binding.socketPair();
    binding.vaultAttachWorker(1, theirs);
    const legs = bindLegs(2);
    const fds = legs.map(({ fd }) => fd);
    binding.handOver(dying, 8, 1, 0b1001, fds);
    binding.closeFd(dying);
    await vi.waitFor(() => expect(binding.vaultStats()).toMatchObject({ streams: 1, descriptors: 2 }), WAIT);
    // The vault's two, and neither the worker's own two nor an end of the socket pair.
    await vi.waitFor(() => expect(openDescriptors()).toBe(before + 2), WAIT);
    expect(legs.every(({ port }) => !portIsFree(port))).toBe(true);
  });

  it('gives all that it holds to each engine that comes', async () => {
    for (const stream of [1, 2, 3]) handOver(stream, 1);
    await held(3);
    for (const forwarded of [3, 6]) {
      const [ours, theirs] = binding.socketPair();
      binding.vaultAttachEngine(theirs);
      await vi.waitFor(() => expect(binding.vaultStats().forwarded).toBe(forwarded), WAIT);
      binding.closeFd(ours);
    }
    expect(binding.vaultStats()).toMatchObject({ streams: 3, descriptors: 12, dropped: 0 });
  });

  it('closes what the engine lets go of', async () => {
    const before = openDescriptors();
    // A row that nobody opened: the engine takes it for closing, waits out the quarantine and releases it.
    const legs = handOver(0, 1);
    await held(1);
    const spec = { workers: 1, engineThreads: 1, services: 1, sessionsPerWorker: 4, streamsPerWorker: 4 };
    const wires = {
      wiresPerWorker: 1,
      wireRingBytes: 4096,
      interleavedBacklog: 65536,
      interleavedOverflow: 0,
      messageDeadlineMs: 10_000,
    };
    const region = binding.createRegion({ ...spec, ...wires, ringSlots: 8, quarantineMs: 1 });
    const [ours, theirs] = binding.socketPair();
    const wake = binding.eventFd();
    const script = `
      const addon = require(process.argv[1]);
      addon.mapRegion(4);
      addon.engineStart({ vaultFd: 5, wakeFds: [6], gso: false, gro: false, batchDelayUs: 0, pinThreads: false, offload: 1 });
      setInterval(() => {}, 1000);`;
    const args = ['--input-type=commonjs', '-e', script, addonFile()];
    const stdio = ['ignore', 'inherit', 'inherit', 'ignore', region, theirs, wake] as const;
    const engine = spawn(process.execPath, args, { stdio: [...stdio] });
    children.push(engine);
    binding.vaultAttachEngine(ours);
    for (const fd of [region, theirs, wake]) binding.closeFd(fd);
    await held(0);
    engine.kill('SIGKILL');
    await once(engine, 'exit');
    expect(legs.every(({ port }) => portIsFree(port))).toBe(true);
    await vi.waitFor(() => expect(openDescriptors()).toBe(before), WAIT);
  });

  it('leaves the sockets with a worker whose hand-over failed', () => {
    const legs = bindLegs();
    const fds = legs.map(({ fd }) => fd);
    expect(() => binding.handOver(worker, 1, 1, 0b0111, fds)).toThrow(
      /^fds must hold one descriptor per leg: 3, got 4/,
    );
    expect(() => binding.handOver(worker, 1, 1, 0b10000, fds)).toThrow(/^legs must be an integer 1…15, got 16/);
    expect(() => binding.handOver(worker, 1, 1, ALL_LEGS, [1, 2, 3, -1])).toThrow(/^fds\[3\] must be/);
    const [lonely, gone] = binding.socketPair();
    binding.closeFd(gone);
    expect(() => binding.handOver(lonely, 1, 1, ALL_LEGS, fds)).toThrowError(
      expect.objectContaining({ code: 'EPIPE' }),
    );
    binding.closeFd(lonely);
    expect(fds.every(isOpen)).toBe(true);
    for (const fd of fds) binding.closeFd(fd);
  });

  it('takes only what it can use', () => {
    const event = binding.eventFd();
    expect(() => binding.vaultAttachWorker(0, event)).toThrowError(expect.objectContaining({ code: 'ENOTSOCK' }));
    binding.closeFd(event);
    const udp = binding.bindUdp(HERE, 0, { receiveBuffer: 0 });
    expect(() => binding.vaultAttachEngine(udp.fd)).toThrow(new TypeError('fd must be an end of a socketPair()'));
    binding.closeFd(udp.fd);
    expect(() => binding.vaultAttachWorker(64, worker)).toThrow(/^index must be an integer 0…63/);
    expect(() => binding.vaultStart()).toThrow(/started already/);
  });
});

describe('a vault that is not started', () => {
  it('says so', () => {
    expect(() => binding.vaultStats()).toThrow(/call vaultStart first/);
    expect(() => binding.vaultAttachWorker(0, 0)).toThrow(/call vaultStart first/);
    binding.vaultStop();
  });
});
