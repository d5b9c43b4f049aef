import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { hash32 } from '../../../src/router/balancer/hash.js';
import { buildTable, TABLE_SIZE } from '../../../src/router/balancer/maglev.js';
import { Vserver } from '../../../src/router/vserver.js';
import { FakeRegion } from './fake-cells.js';

const URLS = Array.from({ length: 4000 }, (_, at) => `/live/cam${at}`);
const SOME_URLS = URLS.slice(0, 500);
const weightsOf = (min: number, max: number) =>
  fc.array(fc.integer({ min: 1, max: 10 }), { minLength: min, maxLength: max });

function shares(table: Uint16Array, members: number): number[] {
  const counts = new Array<number>(members).fill(0);
  for (const member of table) counts[member] = (counts[member] ?? 0) + 1;
  return counts.map((count) => count / table.length);
}

function vserver(region: FakeRegion, method: 'url-hash' | 'source-hash' = 'url-hash'): Vserver {
  return new Vserver({ name: 'main', method, services: region.services() }, { rng: () => 0, workers: 1 });
}

function owners(over: Vserver, urls = URLS): number[] {
  return urls.map((path) => over.pick({ clientIp: '192.0.2.1', path })?.index ?? -1);
}

describe('the Maglev table', () => {
  it('gives each member its share of the weights', () => {
    fc.assert(
      fc.property(weightsOf(1, 12), (weights) => {
        const table = buildTable(weights.map((weight, at) => ({ id: `10.0.0.${at} 554`, weight })));
        const sum = weights.reduce((a, b) => a + b, 0);
        for (const [at, share] of shares(table, weights.length).entries()) {
          expect(Math.abs(share - (weights[at] ?? 0) / sum)).toBeLessThan(0.002);
        }
      }),
      { numRuns: 25 },
    );
  });

  it('does not depend on the order of the members, but for few places', () => {
    const members = Array.from({ length: 10 }, (_, at) => ({ id: `10.0.0.${at} 554`, weight: 1 }));
    const reversed = buildTable(members.toReversed());
    const same = buildTable(members).filter((member, place) => member === 9 - (reversed[place] ?? -1));
    expect(same.length / TABLE_SIZE).toBeGreaterThan(0.9);
  });

  it('holds nobody without a weight', () => {
    expect(buildTable([]).length).toBe(0);
    expect(buildTable([{ id: 'a', weight: 0 }]).length).toBe(0);
    const two = [
      { id: 'a', weight: 0 },
      { id: 'b', weight: 1 },
    ];
    expect(shares(buildTable(two), 2)).toEqual([0, 1]);
  });

  it('moves few places when a member leaves for good', () => {
    fc.assert(
      fc.property(weightsOf(3, 10), fc.nat(), (weights, which) => {
        const members = weights.map((weight, at) => ({ id: `10.0.0.${at} 554`, weight }));
        const gone = which % members.length;
        const share = (weights[gone] ?? 0) / weights.reduce((a, b) => a + b, 0);
        const before = buildTable(members);
        const left = members.filter((_, at) => at !== gone);
        const after = buildTable(left);
        const moved = before.filter((member, place) => members[member]?.id !== left[after[place] ?? -1]?.id).length;
        expect(moved / TABLE_SIZE).toBeLessThan(1.5 * share + 0.1);
      }),
      { numRuns: 20 },
    );
  });
});

describe('url-hash', () => {
  it('sends a URL to one service, from any client and any worker', () => {
    const region = new FakeRegion([1, 2, 3], 2);
    const [one, other] = [0, 1].map(
      (worker) =>
        new Vserver(
          { name: 'main', method: 'url-hash', services: region.services(worker) },
          { rng: () => 0, workers: 2 },
        ),
    );
    for (const path of SOME_URLS) {
      const here = one?.pick({ clientIp: '192.0.2.1', path })?.index;
      expect(other?.pick({ clientIp: '2001:db8::7', path })?.index).toBe(here);
    }
  });

  it('shares URLs by weight', () => {
    const got = [0, 0, 0];
    for (const owner of owners(vserver(new FakeRegion([1, 2, 5])))) got[owner] = (got[owner] ?? 0) + 1 / URLS.length;
    for (const [at, want] of [1 / 8, 2 / 8, 5 / 8].entries())
      expect(Math.abs((got[at] ?? 0) - want)).toBeLessThan(0.03);
  });

  it('moves exactly the URLs of services that cannot be used, and takes them back', () => {
    fc.assert(
      fc.property(weightsOf(2, 8), fc.array(fc.boolean(), { minLength: 8, maxLength: 8 }), (weights, down) => {
        const region = new FakeRegion(weights);
        const over = vserver(region);
        const before = owners(over, SOME_URLS);
        const isDown = (at: number) => at > 0 && down[at] === true;
        for (const [at, row] of region.rows.entries()) row.state = isDown(at) ? 'down' : 'up';
        for (const [at, owner] of owners(over, SOME_URLS).entries()) {
          const former = before[at] ?? -1;
          if (isDown(former)) expect(isDown(owner)).toBe(false);
          else expect(owner).toBe(former);
        }
        for (const row of region.rows) row.state = 'up';
        expect(owners(over, SOME_URLS)).toEqual(before);
      }),
      { numRuns: 25 },
    );
  });

  it('spreads the URLs of a lost service over the others by weight', () => {
    const region = new FakeRegion([4, 1, 3]);
    const over = vserver(region);
    const before = owners(over);
    region.row(0).state = 'down';
    const inherited = owners(over).filter((_, at) => before[at] === 0);
    const toLast = inherited.filter((owner) => owner === 2).length / inherited.length;
    expect(Math.abs(toLast - 3 / 4)).toBeLessThan(0.05);
  });

  it('goes on to another service when the first was tried, the same each time', () => {
    const over = vserver(new FakeRegion([1, 1, 1]));
    const key = { clientIp: '192.0.2.1', path: '/cam' };
    const order = () => {
      const tried = new Set<NonNullable<ReturnType<typeof over.pick>>>();
      for (let next = over.pick(key, tried); next; next = over.pick(key, tried)) tried.add(next);
      return [...tried].map((service) => service.index);
    };
    expect(order().toSorted()).toEqual([0, 1, 2]);
    expect(order()).toEqual(order());
  });

  it('follows a changed weight', () => {
    const region = new FakeRegion([1, 1]);
    const over = vserver(region);
    const before = owners(over);
    region.row(1).weight = 0;
    expect(new Set(owners(over))).toEqual(new Set([0]));
    region.row(1).weight = 1;
    expect(owners(over)).toEqual(before);
  });

  it('still finds a service whose weight has no place in the table', () => {
    const region = new FakeRegion([...new Array<number>(200).fill(1000), 1]);
    const over = vserver(region);
    for (const row of region.rows) row.state = row.weight === 1 ? 'up' : 'down';
    expect(owners(over, ['/cam'])).toEqual([200]);
  });
});

describe('source-hash', () => {
  it('sends a client to one service whatever it asks for', () => {
    const over = vserver(new FakeRegion([1, 1, 1]), 'source-hash');
    const seen = new Set<number>();
    for (let host = 0; host < 60; host++) {
      const clientIp = `198.51.100.${host}`;
      const answers = SOME_URLS.slice(0, 5).map((path) => over.pick({ clientIp, path })?.index ?? -1);
      expect(new Set(answers).size).toBe(1);
      seen.add(answers[0] ?? -1);
    }
    expect(seen).toEqual(new Set([0, 1, 2]));
  });
});

describe('hash32', () => {
  it('spreads keys that differ in one character', () => {
    const buckets = new Array<number>(16).fill(0);
    for (const url of URLS) buckets[hash32(url) % 16] = (buckets[hash32(url) % 16] ?? 0) + 1;
    expect(Math.min(...buckets)).toBeGreaterThan(180);
    expect(Math.max(...buckets)).toBeLessThan(320);
  });
});
