import { describe, expect, it } from 'vitest';
import { LIVE_OPTIONS, planReload, takeOver } from '../../../src/config/reload.js';
import type { Config } from '../../../src/config/types.js';
import { configOf } from '../../support/config.js';

const BASE = { listen: [':8554'], server: ['10.0.0.1?name=a', '10.0.0.2?name=b'] };

const plan = async (before: Record<string, unknown>, after: Record<string, unknown>) =>
  planReload(await configOf({ ...BASE, ...before }), await configOf({ ...BASE, ...after }));

describe('a reload', () => {
  it('of the same configuration changes nothing', async () => {
    const config = await configOf(BASE);
    expect(planReload(config, await configOf(BASE))).toEqual({ config, changed: [], refused: [] });
  });

  it.each([
    ['idle-timeout', '7', 'idleTimeoutMs', 7000],
    ['log-level', 'debug', 'logLevel', 'debug'],
    ['redirects', 'pass', 'redirects', 'pass'],
    ['latching', 'off', 'latching', 'off'],
    ['session-key-file', '/keys', 'sessionKeyFile', '/keys'],
    ['proxy-protocol-from', ['10.0.0.5'], 'proxyProtocolFrom', ['10.0.0.5/32']],
    ['media-address', ['server:10.0.0.9'], 'mediaAddresses', [{ side: 'server', address: '10.0.0.9' }]],
  ] as const)('takes over %s', async (option, value, field, expected) => {
    const { config, changed, refused } = await plan({}, { [option]: value });
    expect(config[field]).toEqual(expected);
    expect([changed, refused]).toEqual([[option], []]);
  });

  it.each([
    ['media-ports', '30000-30999', 'mediaPorts'],
    ['workers', '3', 'workers'],
    ['session-id', 'prefix', 'sessionId'],
    ['state-dir', '/elsewhere', 'stateDir'],
    ['admin', '127.0.0.1:9000', 'admin'],
    ['limit-message-time', '3', 'limits'],
  ] as const)('leaves %s as it is and says so', async (option, value, field) => {
    for (const [before, after] of [
      [{}, { [option]: value }],
      [{ [option]: value }, {}],
    ] as const) {
      const { config, changed, refused } = await plan(before, after);
      expect(config[field]).toEqual((await configOf({ ...BASE, ...before }))[field]);
      expect([changed, refused]).toEqual([[], [option]]);
    }
  });

  it('takes over services and method of a vserver, but no listen address', async () => {
    const after = {
      listen: [':8555'],
      server: ['10.0.0.2?name=b&weight=3', '10.0.0.3?name=c', '10.0.0.1:555?name=a'],
      method: 'url-hash',
    };
    const { config, changed, refused } = await plan({}, after);
    expect(config.vservers).toEqual([
      { ...(await configOf(after)).vservers[0], listen: (await configOf(BASE)).vservers[0]?.listen },
    ]);
    expect(changed).toEqual([
      'method of vserver "default"',
      'service "b" changed',
      'service "c" added',
      'service "a" added',
      'service "a" removed',
    ]);
    expect(refused).toEqual(['listen of vserver "default"']);
  });

  it('takes over whether a service is told of clients', async () => {
    const server = ['10.0.0.1?name=a&proxy-protocol=v2', '10.0.0.2?name=b'];
    const { config, changed } = await plan({}, { server });
    expect(config.vservers[0]?.services.map(({ proxyProtocol }) => proxyProtocol)).toEqual(['v2', 'none']);
    expect(changed).toEqual(['service "a" changed']);
  });

  it('takes over limits, also those that follow from others', async () => {
    const { config, changed, refused } = await plan({}, { 'limit-connections': '100', 'limit-uri': '300' });
    expect(config.limits).toMatchObject({ connections: 100, clientConnections: 75, uri: 300 });
    expect(changed).toEqual(['limit-uri', 'limit-connections', 'limit-client-connections']);
    expect(refused).toEqual([]);
  });

  it('keeps the vservers that there are', async () => {
    const current = await configOf(BASE);
    const next: Config = { ...current, vservers: current.vservers.map((vserver) => ({ ...vserver, name: 'other' })) };
    const { config, changed, refused } = planReload(current, next);
    expect(config.vservers).toEqual(current.vservers);
    expect(changed).toEqual([]);
    expect(refused).toEqual(['the end of vserver "default"', 'new vserver "other"']);
  });

  it('lists as options that need no restart only such that there are', () => {
    expect(LIVE_OPTIONS).toContain('idle-timeout');
    expect(new Set(LIVE_OPTIONS).size).toBe(LIVE_OPTIONS.length);
  });
});

describe('a configuration that is taken over', () => {
  it('is the same object afterwards, and all that the new one says', async () => {
    const config = await configOf({ ...BASE, 'session-key-file': '/keys' });
    const next = await configOf({ ...BASE, 'idle-timeout': '7', 'limit-uri': '300' });
    const { limits } = config;
    takeOver(config, next);
    expect(config).toEqual(next);
    expect(config.limits).toBe(limits);
    expect(config).not.toHaveProperty('sessionKeyFile');
  });
});
