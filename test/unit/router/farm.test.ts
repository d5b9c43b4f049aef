import { expect, it } from 'vitest';
import type { Config } from '../../../src/config/types.js';
import { Farm, type ServicePlace } from '../../../src/router/farm.js';
import { RecentAffinity } from '../../../src/router/persistence.js';
import { configOf } from '../../support/config.js';
import { FakeRegion, seededRandom } from './fake-cells.js';

const KEY = { clientIp: '192.0.2.1', path: '/cam' };

const configured = (...server: string[]): Promise<Config> => configOf({ listen: [':8554'], server });

/** `rows`: by service of the configuration. */
function places({ vservers }: Config, rows: number[], leaving: ServicePlace[] = []): ServicePlace[] {
  const services = vservers[0]?.services ?? [];
  const staying = services.map((service, at) => ({ row: rows[at] ?? at, vserver: 0, service, leaving: false }));
  return [...staying, ...leaving.map((place) => ({ ...place, leaving: true }))];
}

function makeFarm(config: Config) {
  const cells = new FakeRegion([1, 1, 1]).cells(0);
  const recent = new RecentAffinity({ now: () => 0, worker: 0 });
  return new Farm(config.vservers, places(config, []), { cells, recent, rng: seededRandom(1), workers: 1 });
}

it('a farm goes on with the services that stay, gives new sessions to the new ones, and knows those that leave', async () => {
  const before = await configured('10.0.0.1?name=a', 'localhost:555?name=b');
  const farm = makeFarm(before);
  const [vserver] = farm.vservers;
  const [a, b] = farm.services;
  if (!vserver || !a || !b) throw new Error('not built');
  expect(farm.hostOf(b)).toBe('localhost');

  const after = await configured('10.0.0.3?name=c', 'localhost:555?name=renamed&media-source=10.9.9.9');
  farm.update(after.vservers, places(after, [2, 1], places(before, []).slice(0, 1)));
  expect(farm.vservers[0]).toBe(vserver);
  expect(farm.services.map((service) => service?.name)).toEqual(['a', 'renamed', 'c']);
  expect([farm.services[0], farm.services[1]]).toEqual([a, b]);
  expect(farm.services[1]).toBe(b);
  expect(b.mediaSources).toEqual(['10.9.9.9']);
  expect(vserver.services.map(({ index }) => index)).toEqual([2, 1]);
  const picked = [1, 2, 3, 4].map(() => farm.router.route({ vserver, key: KEY }).service.name);
  expect(new Set(picked)).toEqual(new Set(['c', 'renamed']));
  // Its sessions go on.
  expect(farm.router.memberAt({ ip: '10.0.0.1', port: 554 }, vserver)).toBe(a);
  expect(farm.router.serviceAt(0)).toBe(a);

  farm.update(after.vservers, places(after, [2, 1]));
  expect(farm.services[0]).toBeUndefined();
  expect(farm.router.serviceAt(0)).toBeUndefined();
  expect(() => farm.router.memberAt({ ip: '10.0.0.1', port: 554 }, vserver)).toThrow('not in the farm');
});

it('another service in the row of a former one is another object', async () => {
  const farm = makeFarm(await configured('10.0.0.1?name=a'));
  const [a] = farm.services;
  const after = await configured('10.0.0.2?name=a');
  farm.update(after.vservers, places(after, [0]));
  expect(farm.services[0]).not.toBe(a);
  expect(farm.services[0]?.ip).toBe('10.0.0.2');
});

it('another method counts from the next client on', async () => {
  const before = await configured('10.0.0.1?name=a', '10.0.0.2?name=b');
  const farm = makeFarm(before);
  const [vserver] = farm.vservers;
  if (!vserver) throw new Error('not built');
  const pick = () => farm.router.route({ vserver, key: KEY }).service.name;
  expect(new Set([pick(), pick()]).size).toBe(2);
  const after = await configOf({
    listen: [':8554'],
    server: ['10.0.0.1?name=a', '10.0.0.2?name=b'],
    method: 'source-hash',
  });
  farm.update(after.vservers, places(after, []));
  expect(vserver.method).toBe('source-hash');
  expect(new Set([pick(), pick(), pick()]).size).toBe(1);
});
