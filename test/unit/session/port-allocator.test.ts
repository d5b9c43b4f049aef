import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { loadBinding } from '../../../src/engine/binding.js';
import { PortAllocator, type PortAllocatorOptions, type PortPair } from '../../../src/session/port-allocator.js';

const ADDRESS = '10.77.1.1';

/** A kernel with one socket per address and port, which keeps count of what is open. */
class FakeKernel {
  readonly taken = new Map<string, number>();
  readonly faults = new Map<number, string>();
  binds = 0;
  #nextFd = 100;

  bind = (address: string, port: number): { fd: number; port: number } => {
    this.binds++;
    const fault = this.faults.get(port) ?? (this.taken.has(`${address}/${port}`) ? 'EADDRINUSE' : undefined);
    if (fault !== undefined) throw Object.assign(new Error(`bind ${fault}`), { code: fault });
    const fd = this.#nextFd++;
    this.taken.set(`${address}/${port}`, fd);
    return { fd, port };
  };

  close = (fd: number): void => {
    const entry = [...this.taken].find(([, open]) => open === fd);
    if (entry === undefined) throw new Error(`descriptor ${fd} is not open`);
    this.taken.delete(entry[0]);
  };

  occupy(...ports: number[]): void {
    for (const port of ports) this.bind(ADDRESS, port);
  }
}

function setUp(options: Partial<PortAllocatorOptions> = {}) {
  const kernel = new FakeKernel();
  const clock = { now: 0 };
  const allocator = new PortAllocator({
    range: { min: 20000, max: 20007 },
    policy: 'preserve',
    bind: kernel.bind,
    close: kernel.close,
    random: () => 0,
    now: () => clock.now,
    ...options,
  });
  return { kernel, allocator, clock };
}

const numbers = (pair: PortPair): [number, number] => [pair.rtp.port, pair.rtcp.port];
const EXHAUSTED = expect.objectContaining({ code: 'PENSTOCK_ERR_PORTS_EXHAUSTED' });

describe('preserved numbers', () => {
  it.each([
    ['an even pair', { rtp: 20004, rtcp: 20005 }, [20004, 20005]],
    ['a pair that starts odd', { rtp: 20003, rtcp: 20004 }, [20003, 20004]],
    ['a swapped pair', { rtp: 20003, rtcp: 20002 }, [20003, 20002]],
    ['numbers that are not neighbours', { rtp: 20002, rtcp: 20007 }, [20002, 20007]],
    ['a single number', { rtp: 20004 }, [20004, 20005]],
    ['the last pair', { rtp: 20006 }, [20006, 20007]],
    ['the first pair', { rtp: 20000, rtcp: 20001 }, [20000, 20001]],
  ])('are taken as they are: %s', (_name, preferred, expected) => {
    const { allocator } = setUp();
    expect(numbers(allocator.allocate(ADDRESS, preferred))).toEqual(expected);
    expect(allocator.counters).toEqual({ allocated: 1, preserved: 1, conflicts: 0, exhausted: 0 });
  });

  it.each([
    ['zero', { rtp: 0, rtcp: 0 }],
    ['numbers below the range', { rtp: 19998, rtcp: 19999 }],
    ['an RTCP number below the range', { rtp: 20000, rtcp: 19999 }],
    ['one number for both', { rtp: 20004, rtcp: 20004 }],
    ['an RTCP number above the range', { rtp: 20007 }],
    ['a reserved number', { rtp: 20004, rtcp: 20005 }],
    ['a reserved RTCP number', { rtp: 20003, rtcp: 20004 }],
  ])('give way to the pool: %s', (_name, preferred) => {
    const { allocator, kernel } = setUp({ reserved: new Set([20004]) });
    expect(numbers(allocator.allocate(ADDRESS, preferred))).toEqual([20000, 20001]);
    expect(kernel.binds).toBe(2);
    expect(allocator.counters.preserved).toBe(0);
  });

  it('give way to the pool where one of the two is in use, and the other is let go', () => {
    for (const taken of [20004, 20005]) {
      const { allocator, kernel } = setUp();
      kernel.occupy(taken);
      expect(numbers(allocator.allocate(ADDRESS, { rtp: 20004 }))).toEqual([20000, 20001]);
      expect(allocator.counters).toEqual({ allocated: 1, preserved: 0, conflicts: 1, exhausted: 0 });
      expect(kernel.taken.size).toBe(3);
    }
  });

  it('are not looked at with the pool policy', () => {
    const { allocator } = setUp({ policy: 'pool' });
    expect(numbers(allocator.allocate(ADDRESS, { rtp: 20004 }))).toEqual([20000, 20001]);
  });

  it('of two clients with the same numbers are kept for the first', () => {
    const { allocator } = setUp();
    expect(numbers(allocator.allocate(ADDRESS, { rtp: 20004 }))).toEqual([20004, 20005]);
    expect(numbers(allocator.allocate(ADDRESS, { rtp: 20004 }))).toEqual([20000, 20001]);
    expect(numbers(allocator.allocate('10.77.2.1', { rtp: 20004 }))).toEqual([20004, 20005]);
  });
});

describe('the pool', () => {
  it('gives every even-odd pair once, whatever the range and the starting point', () => {
    const ranges = fc.record({ min: fc.integer({ min: 1024, max: 60000 }), length: fc.integer({ min: 3, max: 400 }) });
    fc.assert(
      fc.property(ranges, fc.double({ min: 0, max: 0.999, noNaN: true }), ({ min, length }, start) => {
        const { allocator, kernel } = setUp({ range: { min, max: min + length }, random: () => start });
        const first = min + (min % 2);
        const expected = Math.floor((min + length + 1 - first) / 2);
        const seen = new Set<number>();
        for (let i = 0; i < expected; i++) {
          const [rtp, rtcp] = numbers(allocator.allocate(ADDRESS));
          expect(rtp % 2).toBe(0);
          expect(rtcp).toBe(rtp + 1);
          expect(rtp >= min && rtcp <= min + length).toBe(true);
          seen.add(rtp);
        }
        expect(seen.size).toBe(expected);
        expect(() => allocator.allocate(ADDRESS)).toThrow(EXHAUSTED);
        expect(kernel.taken.size).toBe(2 * expected);
      }),
      { numRuns: 30 },
    );
  });

  it('steps over what others hold, EACCES included', () => {
    const { allocator, kernel } = setUp();
    kernel.occupy(20001);
    kernel.faults.set(20002, 'EACCES');
    expect(numbers(allocator.allocate(ADDRESS))).toEqual([20004, 20005]);
    expect(allocator.counters.conflicts).toBe(2);
    expect(kernel.taken.size).toBe(3);
  });

  it('leaves out reserved numbers', () => {
    const { allocator } = setUp({ reserved: new Set([20001, 20002]) });
    expect(numbers(allocator.allocate(ADDRESS))).toEqual([20004, 20005]);
  });

  it('gives a freed pair out again as late as possible', () => {
    const { allocator } = setUp();
    const first = allocator.allocate(ADDRESS);
    allocator.release(first);
    expect(numbers(allocator.allocate(ADDRESS))).toEqual([20002, 20003]);
  });

  it('finds the one free pair of a large range', () => {
    const { allocator, kernel } = setUp({ range: { min: 20000, max: 59999 } });
    for (let port = 20000; port <= 59999; port++) if (port !== 41234 && port !== 41235) kernel.occupy(port);
    expect(numbers(allocator.allocate(ADDRESS))).toEqual([41234, 41235]);
  });

  it('does not scan a full range again and again, and sees a freed pair after the interval', () => {
    const { allocator, kernel, clock } = setUp({ range: { min: 20000, max: 29999 } });
    for (let port = 20000; port <= 29999; port++) kernel.occupy(port);
    expect(() => allocator.allocate(ADDRESS)).toThrow(EXHAUSTED);
    kernel.binds = 0;
    expect(() => allocator.allocate(ADDRESS)).toThrow(EXHAUSTED);
    expect(kernel.binds).toBe(64);
    for (const port of [27000, 27001]) kernel.close(kernel.taken.get(`${ADDRESS}/${port}`) ?? -1);
    clock.now = 1001;
    expect(numbers(allocator.allocate(ADDRESS))).toEqual([27000, 27001]);
    expect(allocator.counters.exhausted).toBe(2);
  });

  it('scans the rarer, the longer a scan takes', () => {
    const { allocator, kernel, clock } = setUp({
      range: { min: 20000, max: 20999 },
      bind: (address, port) => {
        clock.now++;
        return kernel.bind(address, port);
      },
    });
    for (let port = 20000; port <= 20999; port++) kernel.occupy(port);
    expect(() => allocator.allocate(ADDRESS)).toThrow(EXHAUSTED);
    clock.now += 20 * 500 - 1;
    kernel.binds = 0;
    expect(() => allocator.allocate(ADDRESS)).toThrow(EXHAUSTED);
    expect(kernel.binds).toBe(64 + 500);
    kernel.binds = 0;
    expect(() => allocator.allocate(ADDRESS)).toThrow(EXHAUSTED);
    expect(kernel.binds).toBe(64);
  });

  it('needs room for a pair', () => {
    for (const range of [
      { min: 20001, max: 20002 },
      { min: 20000, max: 20000 },
      { min: 30000, max: 20000 },
    ]) {
      expect(() => setUp({ range })).toThrow(expect.objectContaining({ code: 'PENSTOCK_ERR_CONFIG' }));
    }
  });
});

describe('whole or not at all', () => {
  it.each(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM'])('says why at %s, at once, and closes the first socket', (code) => {
    const { allocator, kernel } = setUp();
    kernel.faults.set(20001, code);
    expect(() => allocator.allocate(ADDRESS)).toThrow(EXHAUSTED);
    expect(() => setUp().allocator.allocate(ADDRESS)).not.toThrow();
    expect(kernel.binds).toBe(2);
    expect(kernel.taken.size).toBe(0);
    expect(allocator.counters).toEqual({ allocated: 0, preserved: 0, conflicts: 0, exhausted: 1 });
  });

  it('names the code in the message', () => {
    const { allocator, kernel } = setUp();
    kernel.faults.set(20000, 'EMFILE');
    expect(() => allocator.allocate(ADDRESS)).toThrow(/EMFILE at 10\.77\.1\.1 port 20000/);
  });

  it('does not take a foreign address for a conflict', () => {
    const { allocator, kernel } = setUp();
    kernel.faults.set(20000, 'EADDRNOTAVAIL');
    expect(() => allocator.allocate(ADDRESS)).toThrow(expect.objectContaining({ code: 'PENSTOCK_ERR_MEDIA_ADDRESS' }));
    expect(allocator.counters).toEqual({ allocated: 0, preserved: 0, conflicts: 0, exhausted: 0 });
  });

  it('passes an unknown fault on and leaks nothing', () => {
    const { allocator, kernel } = setUp();
    kernel.faults.set(20001, 'EIO');
    expect(() => allocator.allocate(ADDRESS)).toThrow(expect.objectContaining({ code: 'EIO' }));
    expect(kernel.taken.size).toBe(0);
  });

  it('never leaks a descriptor, whatever the kernel answers', () => {
    const answers = fc.constantFrom('', '', '', 'EADDRINUSE', 'EACCES', 'EMFILE', 'ENOBUFS', 'EADDRNOTAVAIL', 'EIO');
    fc.assert(
      fc.property(fc.array(answers, { maxLength: 60 }), (answered) => {
        const script = [...answered];
        const { allocator, kernel } = setUp({
          bind: (address, port) => {
            const code = script.shift() ?? '';
            if (code !== '') throw Object.assign(new Error(code), { code });
            return kernel.bind(address, port);
          },
        });
        const pairs: PortPair[] = [];
        for (let i = 0; i < 4; i++) {
          try {
            pairs.push(allocator.allocate(ADDRESS, { rtp: 5000 }));
          } catch (error) {
            expect(error).toHaveProperty('code');
          }
          expect(kernel.taken.size).toBe(2 * pairs.length);
        }
        for (const pair of pairs) allocator.release(pair);
        expect(kernel.taken.size).toBe(0);
      }),
    );
  });

  it('closes a pair once, however often it is released', () => {
    const { allocator, kernel } = setUp();
    const pair = allocator.allocate(ADDRESS);
    allocator.release(pair);
    allocator.release(pair);
    expect(kernel.taken.size).toBe(0);
  });
});

describe('with the kernel', () => {
  // An address of its own in 127/8, beyond the ephemeral ports: nobody else binds here.
  const LOOPBACK = '127.77.5.1';
  const range = { min: 61000, max: 61007 };
  const binding = loadBinding();
  const allocators = [0, 0.5].map(
    (start) =>
      new PortAllocator({
        range,
        policy: 'preserve',
        bind: (address, port) => binding.bindUdp(address, port, { receiveBuffer: 0 }),
        close: (fd) => binding.closeFd(fd),
        random: () => start,
      }),
  );

  it('two workers share a range without a word between them', () => {
    const pairs: [PortAllocator, PortPair][] = [];
    for (let i = 0; i < 2; i++)
      for (const each of allocators) pairs.push([each, each.allocate(LOOPBACK, { rtp: 61002 })]);
    expect(pairs.map(([, pair]) => pair.rtp.port).sort()).toEqual([61000, 61002, 61004, 61006]);
    for (const each of allocators) expect(() => each.allocate(LOOPBACK)).toThrow(EXHAUSTED);
    const [[owner, freed] = []] = [pairs.pop()];
    if (owner === undefined || freed === undefined) throw new Error('no pair');
    owner.release(freed);
    const again = allocators[0]?.allocate(LOOPBACK);
    expect(again?.rtp.port).toBe(freed.rtp.port);
    for (const [each, pair] of pairs) each.release(pair);
    if (again !== undefined) allocators[0]?.release(again);
  });

  it('an address that is not ours is no conflict', () => {
    expect(() => allocators[0]?.allocate('192.0.2.1')).toThrow(
      expect.objectContaining({ code: 'PENSTOCK_ERR_MEDIA_ADDRESS' }),
    );
  });
});
