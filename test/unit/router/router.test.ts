import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { METHODS } from '../../../src/config/types.js';
import { PenstockError } from '../../../src/errors.js';
import { Claim } from '../../../src/router/claim.js';
import { RecentAffinity } from '../../../src/router/persistence.js';
import { Router } from '../../../src/router/router.js';
import { Service } from '../../../src/router/service.js';
import type { ServiceStateName } from '../../../src/router/service-cells.js';
import { Vserver } from '../../../src/router/vserver.js';
import { FakeRegion, seededRandom } from './fake-cells.js';

const KEY = { clientIp: '192.0.2.1', path: '/cam' };
const OPTIONS = { rng: seededRandom(1), workers: 1 };

function setUp(weights = [1, 1]) {
  const region = new FakeRegion(weights);
  const services = region.services();
  const vserver = new Vserver({ name: 'main', method: 'round-robin', services }, OPTIONS);
  const router = new Router([vserver], new RecentAffinity({ now: () => 0, worker: 0 }));
  return { region, services, vserver, router };
}

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
  } catch (error) {
    if (error instanceof PenstockError) return error.code;
    throw error;
  }
  return undefined;
}

describe('a vserver', () => {
  it.each([...METHODS])('never picks a service that may not be used (%s)', (method) => {
    const service = fc.record({
      state: fc.constantFrom<ServiceStateName>('up', 'down', 'draining', 'disabled', 'unknown'),
      weight: fc.nat(3),
      maxSessions: fc.nat(3),
      sessions: fc.nat(4),
      tried: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(service, { maxLength: 6 }), fc.webPath(), fc.ipV4(), (specs, path, clientIp) => {
        const region = new FakeRegion(specs.map(({ weight }) => weight));
        const services = region.services();
        for (const [at, { state, maxSessions, sessions }] of specs.entries()) {
          Object.assign(region.row(at), { state, maxSessions });
          services[at]?.adopt(sessions);
        }
        const exclude = new Set(services.filter((_, at) => specs[at]?.tried));
        const may = specs.map(
          ({ state, weight, maxSessions, sessions, tried }) =>
            (state === 'up' || state === 'unknown') &&
            weight > 0 &&
            !(maxSessions > 0 && sessions >= maxSessions) &&
            !tried,
        );
        const vserver = new Vserver({ name: 'main', method, services }, OPTIONS);
        const picked = vserver.pick({ clientIp, path }, exclude);
        if (may.includes(true)) expect(may[picked?.index ?? -1]).toBe(true);
        else expect(picked).toBeUndefined();
      }),
      { numRuns: method.endsWith('hash') ? 30 : 100 },
    );
  });

  it('fills services up to their limit and no further', () => {
    const { region, vserver } = setUp();
    region.row(0).maxSessions = 2;
    region.row(1).maxSessions = 3;
    const picked = Array.from({ length: 7 }, () => {
      const service = vserver.pick(KEY);
      return service && new Claim(service).service.index;
    });
    expect(picked.filter((index) => index === 0)).toHaveLength(2);
    expect(picked.filter((index) => index === 1)).toHaveLength(3);
    expect(picked.filter((index) => index === undefined)).toHaveLength(2);
  });

  it('says why it found nobody', () => {
    const { region, services, vserver } = setUp([1, 1, 0, 1]);
    region.row(0).state = 'down';
    region.row(1).maxSessions = 1;
    services[1]?.adopt(1);
    expect(vserver.why(new Set(services.slice(3)))).toBe(
      'no service of vserver main can take a session: cam-0 (10.0.0.1 port 554) down, ' +
        'cam-1 (10.0.0.2 port 554) at its limit of 1 sessions, cam-2 (10.0.0.3 port 554) weight 0, ' +
        'cam-3 (10.0.0.4 port 554) tried and failed',
    );
    const empty = new Vserver({ name: 'none', method: 'url-hash', services: [] }, OPTIONS);
    expect(empty.pick(KEY)).toBeUndefined();
    expect(empty.why()).toBe('vserver none has no services');
  });
});

describe('a claim', () => {
  it('counts the connection as pending until it has a session', () => {
    const { region, services } = setUp();
    const [service] = services as [Service];
    const claim = new Claim(service);
    expect(service.load()).toBe(1);
    expect(region.sum(0, 'pending')).toBe(1);
    claim.sessionOpened();
    claim.sessionOpened();
    expect([region.sum(0, 'pending'), region.sum(0, 'sessions'), region.sum(0, 'sessionsTotal')]).toEqual([0, 2, 2]);
    expect(claim.release()).toBe(true);
    service.sessionClosed();
    service.sessionClosed();
    expect(service.load()).toBe(0);
  });

  it('is released once', () => {
    const { region, services } = setUp();
    const [service] = services as [Service];
    const claim = new Claim(service);
    const other = new Claim(service);
    expect(claim.release()).toBe(false);
    expect(claim.release()).toBe(false);
    expect(region.sum(0, 'pending')).toBe(1);
    other.release();
    expect(region.sum(0, 'pending')).toBe(0);
  });

  it('leaves no count behind, whatever the order of reports', () => {
    const report = fc.constantFrom('claim', 'open', 'release', 'close');
    fc.assert(
      fc.property(fc.array(report, { maxLength: 40 }), (reports) => {
        const { region, services } = setUp();
        const [service] = services as [Service];
        const claims: Claim[] = [];
        for (const what of reports) {
          if (what === 'claim') claims.push(new Claim(service));
          if (what === 'open') claims.at(-1)?.sessionOpened();
          if (what === 'release') claims.at(-1)?.release();
          if (what === 'close') service.sessionClosed();
        }
        for (const claim of claims) claim.release();
        expect(region.sum(0, 'pending')).toBe(0);
        while (region.sum(0, 'sessions') > 0) service.sessionClosed();
        service.sessionClosed();
        expect(service.load()).toBe(0);
      }),
    );
  });
});

describe('a service', () => {
  it('keeps the sessions of a dead worker and forgets its connections', () => {
    const { region, services } = setUp();
    const [service] = services as [Service];
    for (let client = 0; client < 3; client++) new Claim(service);
    service.adopt(5);
    expect([region.sum(0, 'sessions'), region.sum(0, 'pending')]).toEqual([5, 0]);
  });

  it('counts what happens to it', () => {
    const { region, services } = setUp();
    const [service] = services as [Service];
    service.connectFailed();
    service.setupRefused();
    service.requestSent();
    service.requestSent();
    const cells = (['connectFailures', 'refusedSetups', 'requestsTotal'] as const).map((cell) => region.sum(0, cell));
    expect(cells).toEqual([1, 1, 2]);
  });
});

describe('the router', () => {
  it('knows the service of a session; without one it prefers the connection, then the recent service, then balances', () => {
    const { services, vserver, router } = setUp();
    const [first, second] = services as [Service, Service];
    const session = { ip: second.ip, port: second.port };
    expect(router.memberAt(session, vserver)).toBe(second);
    expect(router.route({ vserver, key: KEY, connectionService: second })).toEqual({
      service: second,
      by: 'connection',
    });
    expect(second.load()).toBe(0);

    const route = router.route({ vserver, key: KEY });
    expect(route).toMatchObject({ service: first, by: 'balancer' });
    if (route.claim) router.connectionClosed(vserver, KEY, route.claim);
    expect(first.load()).toBe(0);

    const again = router.route({ vserver, key: KEY });
    expect(again).toMatchObject({ service: first, by: 'recent' });
    expect(first.load()).toBe(1);
    expect(router.route({ vserver, key: KEY })).toMatchObject({ service: second, by: 'balancer' });
  });

  it('remembers nothing of a connection that had a session', () => {
    const { vserver, router } = setUp();
    const { claim } = router.route({ vserver, key: KEY });
    claim?.sessionOpened();
    if (claim) router.connectionClosed(vserver, KEY, claim);
    expect(router.route({ vserver, key: KEY }).by).toBe('balancer');
  });

  it('forgets the recent service when it may not take the client', () => {
    const { region, vserver, router } = setUp();
    const { claim, service } = router.route({ vserver, key: KEY });
    if (claim) router.connectionClosed(vserver, KEY, claim);
    region.row(service.index).state = 'draining';
    expect(router.route({ vserver, key: KEY }).by).toBe('balancer');
  });

  it('goes on to the next service until all were tried', () => {
    const { vserver, router } = setUp([1, 1, 1]);
    const exclude = new Set<Service>();
    for (let attempt = 0; attempt < 3; attempt++) {
      const { service, claim } = router.route({ vserver, key: KEY, exclude });
      service.connectFailed();
      claim?.release();
      exclude.add(service);
    }
    expect(exclude.size).toBe(3);
    expect(codeOf(() => router.route({ vserver, key: KEY, exclude }))).toBe('PENSTOCK_ERR_NO_SERVICE');
  });

  it.each<ServiceStateName>(['down', 'draining', 'disabled'])(
    'lets a session go on while its service is %s',
    (state) => {
      const { region, services, vserver, router } = setUp();
      const [service] = services as [Service];
      region.row(0).state = state;
      region.row(0).weight = 0;
      expect(router.memberAt({ ip: service.ip, port: service.port }, vserver)).toBe(service);
    },
  );

  it('refuses a session of an address outside the farm', () => {
    const { vserver, router } = setUp();
    for (const session of [
      { ip: '10.0.0.1', port: 555 },
      { ip: '203.0.113.1', port: 554 },
    ]) {
      expect(codeOf(() => router.memberAt(session, vserver))).toBe('PENSTOCK_ERR_SESSION_NOT_FOUND');
    }
  });

  it('finds a service in the vserver of the listener first, then in any', () => {
    const region = new FakeRegion([1, 1, 1]);
    const at = (index: number, ip: string) => new Service({ index, name: `s${index}`, ip, port: 554 }, region.cells());
    const shared = [at(0, '10.0.0.1'), at(1, '10.0.0.1')] as const;
    const lonely = at(2, '2001:db8::1');
    const one = new Vserver({ name: 'one', method: 'round-robin', services: [shared[0]] }, OPTIONS);
    const two = new Vserver({ name: 'two', method: 'round-robin', services: [shared[1], lonely] }, OPTIONS);
    const router = new Router([one, two], new RecentAffinity({ now: () => 0, worker: 0 }));
    expect(router.serviceByAddress('10.0.0.1', 554, two)).toBe(shared[1]);
    expect(router.serviceByAddress('10.0.0.1', 554, one)).toBe(shared[0]);
    expect(router.serviceByAddress('10.0.0.1', 554)).toBe(shared[0]);
    expect(router.serviceByAddress('2001:db8::1', 554, one)).toBe(lonely);
    expect(router.serviceByAddress('10.0.0.9', 554, one)).toBeUndefined();
  });
});
