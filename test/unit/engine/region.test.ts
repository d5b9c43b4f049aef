import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, ftruncateSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { beforeAll, describe, expect, it } from 'vitest';
import { addonFile, loadBinding, type RegionSpec } from '../../../src/engine/binding.js';

const SPEC: RegionSpec = {
  workers: 2,
  engineThreads: 2,
  services: 3,
  sessionsPerWorker: 8,
  streamsPerWorker: 16,
  ringSlots: 8,
  quarantineMs: 250,
  wiresPerWorker: 8,
  wireRingBytes: 4096,
  interleavedBacklog: 65536,
  messageDeadlineMs: 10_000,
  interleavedOverflow: 0,
};

const binding = loadBinding();
const { layout } = binding;

/** Runs plain JavaScript in a Node of its own, the region in stdio slot 4. */
function runChild(script: string, fd: number): ChildProcess {
  const args = ['--input-type=commonjs', '-e', script, addonFile()];
  return spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'ignore', fd] });
}

async function exitCode(child: ChildProcess): Promise<unknown> {
  return (await once(child, 'exit'))[0];
}

describe('a region', () => {
  let fd: number;
  let buffer: SharedArrayBuffer;
  let words: Int32Array;
  const u32 = (offset: number) => Atomics.load(words, offset / 4) >>> 0;

  beforeAll(() => {
    fd = binding.createRegion(SPEC);
    buffer = binding.mapRegion(fd);
    words = new Int32Array(buffer);
  });

  it('is a real SharedArrayBuffer as large as its file', () => {
    expect(Object.prototype.toString.call(buffer)).toBe('[object SharedArrayBuffer]');
    expect(buffer.byteLength).toBe(fstatSync(fd).size);
    expect(new BigUint64Array(buffer)[layout.header.size / 8]).toBe(BigInt(buffer.byteLength));
  });

  it('has the header that was asked for', () => {
    const { header } = layout;
    expect(Buffer.from(new Uint8Array(buffer, header.magic, 8)).toString('latin1')).toBe('penstock');
    expect(u32(header.layoutVersion)).toBe(layout.version);
    expect(u32(header.workers)).toBe(SPEC.workers);
    expect(u32(header.engineThreads)).toBe(SPEC.engineThreads);
    expect(u32(header.streamsPerWorker)).toBe(SPEC.streamsPerWorker);
    expect(u32(header.quarantineMs)).toBe(SPEC.quarantineMs);
  });

  it('refuses to shrink and to grow', () => {
    expect(() => ftruncateSync(fd, 64)).toThrowError(expect.objectContaining({ code: 'EPERM' }));
    expect(() => ftruncateSync(fd, buffer.byteLength + 4096)).toThrowError(expect.objectContaining({ code: 'EPERM' }));
  });

  it('is mapped once: a second call shows the same memory', () => {
    const again = new Int32Array(binding.mapRegion(fd));
    Atomics.store(again, layout.header.defaultLatching / 4, layout.latching.any);
    expect(u32(layout.header.defaultLatching)).toBe(layout.latching.any);
  });

  it('is the only region of its process', () => {
    const other = binding.createRegion(SPEC);
    expect(() => binding.mapRegion(other)).toThrow(/already/);
    binding.closeFd(other);
  });

  it('passes to a thread without a copy, in both directions', async () => {
    const cell = layout.header.quarantineMs / 4;
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      const words = new Int32Array(workerData.buffer);
      Atomics.wait(words, workerData.cell, ${SPEC.quarantineMs});
      Atomics.add(words, workerData.cell, 1);
      parentPort.postMessage('done');`;
    const worker = new Worker(script, { eval: true, workerData: { buffer, cell } });
    await once(worker, 'online');
    Atomics.store(words, cell, 1000);
    Atomics.notify(words, cell);
    await once(worker, 'message');
    expect(Atomics.load(words, cell)).toBe(1001);
    await worker.terminate();
  });

  it('is seen by a thread that loads the addon itself', async () => {
    const script = `
      const { parentPort, workerData } = require('node:worker_threads');
      const words = new Int32Array(require(workerData.addon).mapRegion(workerData.fd));
      Atomics.store(words, workerData.cell, 77);
      parentPort.postMessage('done');`;
    const cell = layout.header.quarantineMs / 4;
    const worker = new Worker(script, { eval: true, workerData: { addon: addonFile(), fd, cell } });
    await once(worker, 'message');
    expect(Atomics.load(words, cell)).toBe(77);
    await worker.terminate();
  });

  it('is seen by a child that inherits the descriptor', async () => {
    const cell = layout.header.quarantineMs / 4;
    Atomics.store(words, cell, 5);
    const child = runChild(
      `const words = new Int32Array(require(process.argv[1]).mapRegion(4));
       process.exitCode = Atomics.add(words, ${cell}, 20) === 5 ? 0 : 1;`,
      fd,
    );
    expect(await exitCode(child)).toBe(0);
    expect(Atomics.load(words, cell)).toBe(25);
  });

  it('outlives the thread that loaded the addon first', async () => {
    const child = runChild(
      `const { Worker } = require('node:worker_threads');
       const script = "const { parentPort, workerData } = require('node:worker_threads');" +
         "parentPort.postMessage(require(workerData).mapRegion(4));";
       const worker = new Worker(script, { eval: true, workerData: process.argv[1] });
       const mappings = () => require('node:fs').readFileSync('/proc/self/maps', 'utf8')
         .split('\\n').filter((line) => line.includes('memfd:penstock-region')).length;
       worker.once('message', async (buffer) => {
         await worker.terminate();
         const words = new Int32Array(buffer);
         Atomics.store(words, ${layout.header.quarantineMs / 4}, 99);
         const again = new Int32Array(require(process.argv[1]).mapRegion(4));
         process.exitCode = again[${layout.header.quarantineMs / 4}] === 99 && mappings() === 1 ? 0 : 1;
       });`,
      fd,
    );
    expect(await exitCode(child)).toBe(0);
    expect(u32(layout.header.quarantineMs)).toBe(99);
  });

  describe('command rings', () => {
    const ringAt = (worker: number, thread: number) => {
      const first = Number(new BigUint64Array(buffer)[layout.header.commandRingsOffset / 8]);
      const stride = layout.sizes.ring + SPEC.ringSlots * layout.sizes.command;
      return first + (worker * SPEC.engineThreads + thread) * stride;
    };

    it('take commands until they are full, and count what they refuse', () => {
      const ring = ringAt(1, 0);
      for (let stream = 0; stream < SPEC.ringSlots; stream++) {
        expect(binding.commandPush(1, 0, layout.commandOp.close, stream, 40 + stream)).toBe(true);
      }
      expect(binding.commandPush(1, 0, layout.commandOp.close, 0, 1)).toBe(false);
      expect(u32(ring + layout.ring.head)).toBe(SPEC.ringSlots);
      expect(u32(ring + layout.ring.dropped)).toBe(1);
      const third = ring + layout.ring.slots + 2 * layout.sizes.command;
      expect(u32(third + layout.command.op)).toBe(layout.commandOp.close);
      expect(u32(third + layout.command.stream)).toBe(2);
      expect(u32(third + layout.command.generation)).toBe(42);
    });

    it('wrap: what was consumed makes room', () => {
      const ring = ringAt(1, 0);
      Atomics.store(words, (ring + layout.ring.tail) / 4, SPEC.ringSlots);
      expect(binding.commandPush(1, 0, layout.commandOp.update, 9, 1)).toBe(true);
      expect(u32(ring + layout.ring.slots + layout.command.stream)).toBe(9);
    });

    it('do not touch their neighbours', () => {
      expect(u32(ringAt(0, 1) + layout.ring.head)).toBe(0);
      expect(u32(ringAt(1, 1) + layout.ring.head)).toBe(0);
    });

    it('refuse what is out of range, and say what was expected', () => {
      expect(() => binding.commandPush(2, 0, 1, 0, 0)).toThrow(new RangeError('worker must be an integer 0…1, got 2'));
      expect(() => binding.commandPush(0, 2, 1, 0, 0)).toThrow(/^thread must be/);
      expect(() => binding.commandPush(0, 0, 3, 0, 0)).toThrow(/^op must be/);
      expect(() => binding.commandPush(0, 0, 1, 32, 0)).toThrow(/^stream must be/);
      expect(() => binding.commandPush(0, 0, 1, 1.5, 0)).toThrow(RangeError);
      expect(() => binding.commandPush(0, 0, 1, Number.NaN, 0)).toThrow(RangeError);
      expect(() => binding.commandPush(0, 0, 1, '1' as unknown as number, 0)).toThrow(TypeError);
    });
  });
});

describe('createRegion', () => {
  it.each([
    [{ workers: 0 }, /^workers must be 1…64, got 0/],
    [{ workers: 65 }, /^workers must be/],
    [{ engineThreads: 17 }, /^engineThreads must be/],
    [{ services: 0 }, /^services must be/],
    [{ sessionsPerWorker: 2 ** 21 }, /^sessionsPerWorker must be/],
    [{ streamsPerWorker: -1 }, /^streamsPerWorker must be/],
    [{ ringSlots: 12 }, /^ringSlots must be a power of two/],
    [{ workers: 64, sessionsPerWorker: 2 ** 20 }, /^region bytes must be/],
  ])('refuses %o', (change, message) => {
    expect(() => binding.createRegion({ ...SPEC, ...change })).toThrow(message);
    expect(() => binding.createRegion({ ...SPEC, ...change })).toThrow(RangeError);
  });

  it('refuses what is not a spec', () => {
    expect(() => binding.createRegion(undefined as unknown as RegionSpec)).toThrow(TypeError);
    expect(() => binding.createRegion({} as RegionSpec)).toThrow(/^workers must be an integer/);
  });
});

describe('the process', () => {
  it('shares one clock with every other process', () => {
    const before = Number(process.hrtime.bigint()) / 1e6;
    const now = binding.monotonicMs();
    const after = Number(process.hrtime.bigint()) / 1e6;
    // A hair of slack: one is rounded to a double from seconds and nanoseconds, the other from nanoseconds.
    expect(now).toBeGreaterThanOrEqual(before - 1e-3);
    expect(now).toBeLessThanOrEqual(after + 1e-3);
  });

  it('may raise its limit of descriptors to the hard one', () => {
    const raised = binding.raiseFileLimit();
    expect(binding.probe().fileLimit).toEqual({ soft: raised, hard: raised });
  });

  it('is told what the machine allows', () => {
    const report = binding.probe();
    expect(report.sealedMemfd).toBe('ok');
    for (const verdict of [report.gso, report.gro, report.offload]) expect(verdict).toMatch(/./);
    expect(report.ephemeralPorts?.min).toBeLessThan(report.ephemeralPorts?.max ?? 0);
  });
});
