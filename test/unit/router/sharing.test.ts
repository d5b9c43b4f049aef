import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Method } from '../../../src/config/types.js';
import { Claim } from '../../../src/router/claim.js';
import { Vserver } from '../../../src/router/vserver.js';
import { FakeRegion, seededRandom } from './fake-cells.js';

const KEY = { clientIp: '192.0.2.1', path: '/cam' };
const EXACT: Method[] = ['round-robin', 'least-sessions'];

/** One vserver per worker over the same cells; `arrive` is a client that reaches that worker and stays. */
function farm(method: Method, weights: readonly number[], workers = 2) {
  const region = new FakeRegion(weights, workers);
  const vservers = Array.from({ length: workers }, (_, worker) => {
    const options = { rng: seededRandom(worker), workers };
    return new Vserver({ name: 'main', method, services: region.services(worker) }, options);
  });
  const got = weights.map(() => 0);
  const arrive = (worker: number): Claim => {
    const service = vservers[worker]?.pick(KEY);
    if (!service) throw new Error('nobody was picked');
    got[service.index] = (got[service.index] ?? 0) + 1;
    return new Claim(service);
  };
  /** Both see the same counts: neither sees what the other does. */
  const arriveTogether = (workersOfPair: readonly number[]) => {
    for (const worker of workersOfPair) region.freeze(worker);
    const claims = workersOfPair.map(arrive);
    for (const worker of workersOfPair) region.thaw(worker);
    return claims;
  };
  return { region, vservers, got, arrive, arriveTogether };
}

const spread = (length: number, workers = 2) =>
  fc.array(fc.nat({ max: workers - 1 }), { minLength: length, maxLength: length });

describe.each(EXACT)('%s over workers that share only their own cells', (method) => {
  it.each([
    { weights: [1, 1], clients: 20, want: [10, 10] },
    { weights: [3, 1], clients: 20, want: [15, 5] },
    { weights: [1, 3], clients: 20, want: [5, 15] },
    { weights: [100, 100], clients: 20, want: [10, 10] },
    { weights: [5, 3, 2], clients: 20, want: [10, 6, 4] },
  ])('$clients clients on weights $weights: $want, wherever the kernel puts them', ({ weights, clients, want }) => {
    fc.assert(
      fc.property(spread(clients), (workers) => {
        const { arrive, got } = farm(method, weights);
        for (const worker of workers) arrive(worker);
        expect(got).toEqual(want);
      }),
    );
  });

  it('gives each full round its weights, for any weights and numbers of workers', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 1, max: 4 }),
        fc.nat(),
        (weights, workers, seed) => {
          const { arrive, got } = farm(method, weights, workers);
          const random = seededRandom(seed);
          const round = weights.reduce((a, b) => a + b, 0);
          for (let client = 0; client < 3 * round; client++) arrive(Math.floor(random() * workers));
          expect(got).toEqual(weights.map((weight) => 3 * weight));
        },
      ),
    );
  });

  it('shares clients who come one after the other has gone', () => {
    fc.assert(
      fc.property(spread(20), (workers) => {
        const { arrive, got } = farm(method, [3, 1]);
        for (const worker of workers) arrive(worker).release();
        expect(got).toEqual([15, 5]);
      }),
    );
  });

  it('makes up for turns that two workers took at the same instant', () => {
    fc.assert(
      fc.property(
        fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }),
        fc.constantFrom([1, 1], [3, 1], [2, 5]),
        (together, weights) => {
          const { arrive, arriveTogether, got } = farm(method, weights);
          for (const pair of together) {
            if (pair) arriveTogether([0, 1]);
            else arrive(0);
          }
          const round = weights.reduce((a, b) => a + b, 0);
          const clients = got.reduce((a, b) => a + b, 0);
          for (const [at, count] of got.entries()) {
            expect(Math.abs(count - (clients * (weights[at] ?? 0)) / round)).toBeLessThanOrEqual(2);
          }
          // From the next whole round on nothing of it is left.
          for (let client = clients; client % round !== 0 || client < clients + 2 * round; client++) arrive(client % 2);
          const rounds = got.reduce((a, b) => a + b, 0) / round;
          expect(got).toEqual(weights.map((weight) => weight * rounds));
        },
      ),
    );
  });
});

describe('round-robin', () => {
  it('is exact for any full rounds, whatever came before', () => {
    fc.assert(
      fc.property(
        fc.nat({ max: 30 }),
        spread(20),
        fc.constantFrom([1, 1], [3, 1], [4, 6]),
        (before, workers, weights) => {
          const { arrive, got } = farm('round-robin', weights);
          for (let client = 0; client < before; client++) arrive(client % 2).release();
          got.fill(0);
          for (const worker of workers) arrive(worker);
          const round = weights.reduce((a, b) => a + b, 0);
          expect(got).toEqual(weights.map((weight) => (20 * weight) / round));
        },
      ),
    );
  });

  it('is smooth: a service of weight 1 beside one of weight 3 is never two turns in a row', () => {
    const { arrive } = farm('round-robin', [3, 1]);
    const order = Array.from({ length: 40 }, (_, client) => arrive(client % 2).service.index).join('');
    expect(order).not.toContain('11');
    expect(order).not.toContain('0000');
  });

  it('does not flood a service that returns', () => {
    const { region, arrive, got } = farm('round-robin', [1, 1]);
    region.row(1).state = 'down';
    for (let client = 0; client < 1000; client++) arrive(client % 2);
    expect(got).toEqual([1000, 0]);
    region.row(1).state = 'up';
    got.fill(0);
    for (let client = 0; client < 20; client++) arrive(client % 2);
    // One missed turn per worker is all it may be given back.
    expect(Math.abs((got[1] ?? 0) - 10)).toBeLessThanOrEqual(1);
    got.fill(0);
    for (let client = 0; client < 20; client++) arrive(client % 2);
    expect(got).toEqual([10, 10]);
  });

  it('does not starve the others when two services took turns at being down', () => {
    const { region, arrive, got } = farm('round-robin', [1, 1, 1]);
    region.row(1).state = 'down';
    for (let client = 0; client < 300; client++) arrive(client % 2);
    region.row(1).state = 'up';
    region.row(0).state = 'down';
    region.row(2).state = 'down';
    for (let client = 0; client < 10; client++) arrive(client % 2);
    region.row(0).state = 'up';
    region.row(2).state = 'up';
    for (let client = 0; client < 9; client++) arrive(client % 2);
    got.fill(0);
    for (let client = 0; client < 30; client++) arrive(client % 2);
    expect(got).toEqual([10, 10, 10]);
  });

  it('counts a changed weight from now on', () => {
    const { region, arrive, got } = farm('round-robin', [1, 1]);
    for (let client = 0; client < 1001; client++) arrive(client % 2);
    region.row(0).weight = 3;
    for (let client = 0; client < 8; client++) arrive(client % 2);
    got.fill(0);
    for (let client = 0; client < 20; client++) arrive(client % 2);
    expect(got).toEqual([15, 5]);
  });

  it('goes on where a dead worker stopped', () => {
    const { region, arrive, got } = farm('round-robin', [1, 1]);
    for (let client = 0; client < 7; client++) arrive(client % 2);
    const options = { rng: seededRandom(0), workers: 2 };
    const successor = new Vserver({ name: 'main', method: 'round-robin', services: region.services(1) }, options);
    const picked = Array.from({ length: 13 }, () => successor.pick(KEY)?.index);
    for (const index of picked) got[index ?? -1] = (got[index ?? -1] ?? 0) + 1;
    expect(got).toEqual([10, 10]);
  });
});

describe('least-sessions', () => {
  it('counts the sessions of all workers', () => {
    const { vservers, arrive } = farm('least-sessions', [1, 1]);
    const first = arrive(0);
    first.sessionOpened();
    expect(vservers[1]?.pick(KEY)).not.toMatchObject({ index: first.service.index });
  });

  it('levels unequal servers first', () => {
    const { region, arrive, got } = farm('least-sessions', [1, 1]);
    region.services(0)[0]?.adopt(6);
    for (let client = 0; client < 6; client++) arrive(client % 2);
    expect(got).toEqual([0, 6]);
    for (let client = 0; client < 4; client++) arrive(client % 2);
    expect(got).toEqual([2, 8]);
  });

  it('always takes one of the least loaded for its weight', () => {
    const service = fc.record({ weight: fc.integer({ min: 1, max: 9 }), sessions: fc.nat({ max: 50 }) });
    fc.assert(
      fc.property(fc.array(service, { minLength: 1, maxLength: 8 }), (services) => {
        const { region, vservers } = farm(
          'least-sessions',
          services.map(({ weight }) => weight),
        );
        for (const [at, { sessions }] of services.entries()) region.services(1)[at]?.adopt(sessions);
        const loads = services.map(({ weight, sessions }) => sessions / weight);
        const picked = vservers[0]?.pick(KEY)?.index ?? -1;
        expect(loads[picked]).toBeCloseTo(Math.min(...loads), 9);
      }),
    );
  });
});

describe('random-two', () => {
  it('takes the better of the two it draws', () => {
    // With two services both are always drawn.
    const { region, vservers } = farm('random-two', [1, 1]);
    region.services(0)[0]?.adopt(1);
    for (let client = 0; client < 50; client++) expect(vservers[0]?.pick(KEY)?.index).toBe(1);
  });

  it('draws by weight', () => {
    const { arrive, got } = farm('random-two', [6, 3, 1], 1);
    for (let client = 0; client < 3000; client++) arrive(0).release();
    // No load anywhere: the first drawn stays, so shares are the weights.
    expect(got[0]).toBeGreaterThan(1650);
    expect(got[0]).toBeLessThan(1950);
    expect(got[2]).toBeGreaterThan(200);
    expect(got[2]).toBeLessThan(400);
  });

  it('keeps the loads together', () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 10 }), fc.nat(), (services, seed) => {
        const { arrive, got } = farm(
          'random-two',
          Array.from({ length: services }, () => 1),
        );
        const random = seededRandom(seed);
        for (let client = 0; client < 50 * services; client++) arrive(random() < 0.5 ? 0 : 1);
        expect(Math.max(...got)).toBeLessThan(50 + 15);
      }),
    );
  });
});
