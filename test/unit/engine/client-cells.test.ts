import { beforeEach, expect, it } from 'vitest';
import { ClientCells } from '../../../src/engine/client-cells.js';
import type { SharedRegion } from '../../../src/engine/shared-region.js';
import { freshRegion } from '../../support/fresh-region.js';

let region: SharedRegion;
let workers: [ClientCells, ClientCells];
beforeEach(() => {
  region = freshRegion({ workers: 2 });
  workers = [new ClientCells(region, 0), new ClientCells(region, 1)];
});

it('count a client over all workers', () => {
  const [one, two] = workers;
  one.add('connections', '192.0.2.1', 1);
  two.add('connections', '192.0.2.1', 1);
  two.add('sessions', '192.0.2.1', 1);
  for (const cells of workers) {
    expect([cells.count('connections', '192.0.2.1'), cells.count('sessions', '192.0.2.1')]).toEqual([2, 1]);
    expect([cells.total('connections'), cells.total('sessions')]).toEqual([2, 1]);
  }
  one.add('connections', '192.0.2.1', -1);
  expect(two.count('connections', '192.0.2.1')).toBe(1);
});

it('never go below zero', () => {
  workers[0].add('sessions', '192.0.2.1', -1);
  expect(workers[0].count('sessions', '192.0.2.1')).toBe(0);
  expect(workers[0].total('sessions')).toBe(0);
});

it('take the addresses of one IPv6 network for one client', () => {
  const [cells] = workers;
  cells.add('sessions', '2001:db8:1:2::1', 1);
  cells.add('sessions', '2001:db8:1:2:ffff::9', 1);
  cells.add('sessions', '2001:db8:1:3::1', 1);
  expect(cells.count('sessions', '2001:db8:1:2:3:4:5:6')).toBe(2);
});

it('tell most clients apart, in a way that nobody can foresee', () => {
  const clients = Array.from({ length: 500 }, (_, n) => `10.0.${n >> 8}.${n & 255}`);
  for (const ip of clients) workers[0].add('sessions', ip, 1);
  const shared = (cells: ClientCells) => clients.filter((ip) => cells.count('sessions', ip) > 1);
  expect(shared(workers[0]).length).toBeLessThan(clients.length / 4);
  expect(shared(workers[1])).toEqual(shared(workers[0]));
  const other = freshRegion({ workers: 2 });
  const cells = new ClientCells(other, 0);
  for (const ip of clients) cells.add('sessions', ip, 1);
  expect(shared(cells)).not.toEqual(shared(workers[0]));
});

it('of a worker that died are forgotten by its successor', () => {
  const [one, two] = workers;
  one.add('connections', '192.0.2.1', 1);
  two.add('connections', '192.0.2.1', 1);
  new ClientCells(region, 0).clear();
  expect([two.count('connections', '192.0.2.1'), two.total('connections')]).toEqual([1, 1]);
});
