import { beforeEach, describe, expect, it } from 'vitest';
import type { Config } from '../../../src/config/types.js';
import { PenstockError } from '../../../src/errors.js';
import { ROW_REST_MS, ServiceTable } from '../../../src/process/service-table.js';
import { configOf } from '../../support/config.js';

const farm = (...server: string[]): Promise<Config> => configOf({ listen: [':8554'], server });
const [A, B, C, D] = ['10.0.0.1?name=a', '10.0.0.2?name=b', '10.0.0.3?name=c', '10.0.0.4?name=d'];

let nowMs: number;
beforeEach(() => {
  nowMs = 1_000_000;
});

function table(config: Config, capacity: number, former: string[] = []): ServiceTable {
  return new ServiceTable(config, { capacity, former, now: () => nowMs });
}

/** Names by row; in brackets those that are leaving. */
function rows({ places }: ServiceTable): string[] {
  const names: string[] = [];
  for (const { row, service, leaving } of places) names[row] = leaving ? `(${service.name})` : service.name;
  return [...names].map((name) => name ?? '');
}

describe('the table of services', () => {
  it('has them in the order of the configuration', async () => {
    expect(rows(table(await farm(A, B), 4))).toEqual(['a', 'b']);
  });

  it('leaves each service its row, and gives new ones those that are free', async () => {
    const services = table(await farm(A, B), 4);
    services.update(await farm(C, B));
    expect(rows(services)).toEqual(['(a)', 'b', 'c']);
    services.update(await farm(D, C, '10.0.0.1?name=again'));
    expect(rows(services)).toEqual(['again', '(b)', 'c', 'd']);
  });

  it('takes another address for another service, whatever its name', async () => {
    const services = table(await farm(A), 4);
    services.update(await farm('10.0.0.1:555?name=a'));
    expect(rows(services)).toEqual(['(a)', 'a']);
  });

  it('lets a row rest before another service gets it, and changes nothing where there is none', async () => {
    const services = table(await farm(A, B), 2);
    services.update(await farm(B));
    const full = (config: Config) => {
      const before = services.places;
      expect(() => services.update(config)).toThrow(PenstockError);
      expect(services.places).toBe(before);
    };
    full(await farm(B, C));
    services.free(0);
    expect(rows(services)).toEqual(['', 'b']);
    full(await farm(B, C));
    nowMs += ROW_REST_MS;
    services.update(await farm(B, C));
    expect(rows(services)).toEqual(['c', 'b']);
  });

  it('gives rows that were never used before those that were', async () => {
    const services = table(await farm(A, B), 3);
    services.update(await farm(B));
    services.free(0);
    nowMs += ROW_REST_MS;
    services.update(await farm(B, C));
    expect(rows(services)).toEqual(['', 'b', 'c']);
  });

  it('is told to a successor, who has the same rows', async () => {
    const services = table(await farm(A, B), 4);
    services.update(await farm(C, B));
    services.free(0);
    expect(services.names()).toEqual(['', 'b 10.0.0.2 554', 'c 10.0.0.3 554']);
    expect(rows(table(await farm(C, B), 4, services.names()))).toEqual(['', 'b', 'c']);
  });
});
