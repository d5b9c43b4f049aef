import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Loaded, loadConfig, type Sources } from '../../../src/config/load.js';
import { PenstockError } from '../../../src/errors.js';

let folder: string;
let count = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-config-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Writes a file and returns its name relative to the folder that is the current directory of `load`. */
function file(text: string): string {
  const name = `config-${count++}.yaml`;
  writeFileSync(join(folder, name), text);
  return name;
}

function load(sources: Partial<Sources>): Loaded {
  return loadConfig({ flags: {}, env: {}, cwd: folder, ...sources });
}

const server = ['10.0.0.1'];

/** The lines of the faults, without the name of the file. */
function faults(sources: Partial<Sources>): string[] {
  try {
    load(sources);
  } catch (error) {
    if (!(error instanceof PenstockError)) throw error;
    expect(error.code).toBe('PENSTOCK_ERR_CONFIG');
    expect(error.exitStatus).toBe(2);
    return error.message.split('\n').map((line) => line.replace(/config-\d+\.yaml/g, 'FILE'));
  }
  throw new Error('expected a fault');
}

const faultsOf = (text: string): string[] => faults({ flags: { config: file(text) } });

describe('defaults', () => {
  it('need nothing but a server', () => {
    const { config, warnings } = load({ flags: { server } });
    expect(warnings).toEqual([]);
    expect(config).toMatchObject({
      proxyProtocolFrom: [],
      mediaAddresses: [],
      mediaPorts: { min: 20000, max: 59999 },
      portPolicy: 'preserve',
      latching: 'same-ip',
      sessionId: 'sealed',
      idleTimeoutMs: 60_000,
      teardownOnDisconnect: false,
      redirects: 'rewrite',
      packetPath: 'auto',
      batchDelayUs: -1,
      workers: Math.min(availableParallelism(), 64),
      engineThreads: 1,
      logLevel: 'info',
    });
    expect(config.vservers).toEqual([
      {
        name: 'default',
        listen: [{ address: '0.0.0.0', port: 554, tls: false }],
        method: 'round-robin',
        services: [
          {
            name: '10.0.0.1:554',
            host: '10.0.0.1',
            port: 554,
            weight: 1,
            maxSessions: 0,
            mediaSources: [],
            proxyProtocol: 'none',
            monitor: {
              kind: 'tcp',
              intervalMs: 5000,
              timeoutMs: 2000,
              rise: 2,
              fall: 3,
              jitter: 0.2,
              path: '/',
              expect: [200, 401],
            },
          },
        ],
      },
    ]);
  });

  it('leave room for others where one client takes all that it may', () => {
    const of = (flags: Record<string, string>) => load({ flags: { server, ...flags } }).config.limits;
    expect(of({ workers: '2', 'max-sessions': '100', 'limit-connections': '10' })).toMatchObject({
      connections: 10,
      clientConnections: 8,
      clientSessions: 150,
    });
    expect(of({ 'limit-client-connections': '3', 'limit-client-sessions': '4' })).toMatchObject({
      clientConnections: 3,
      clientSessions: 4,
    });
    expect(of({ 'limit-stream-rate': '20000', 'limit-message-time': '500ms', 'limit-line': '1k' })).toMatchObject({
      streamRate: 20_000_000,
      messageMs: 500,
      line: 1_024,
    });
  });

  it('give plain data that JSON keeps as it is', () => {
    const { config } = load({ flags: { server, admin: '127.0.0.1:9000', 'media-address': ['10.0.0.9=192.0.2.1'] } });
    expect(JSON.parse(JSON.stringify(config))).toEqual(config);
  });
});

describe('precedence', () => {
  const text = 'server: [10.0.0.1]\nidle-timeout: 11\nclient-timeout: 12\nreply-timeout: 13\n';

  it('is flag, environment, file, default', () => {
    const { config } = load({
      flags: { config: file(text), 'idle-timeout': '31' },
      env: { PENSTOCK_IDLE_TIMEOUT: '21', PENSTOCK_CLIENT_TIMEOUT: '22' },
    });
    expect(config.idleTimeoutMs).toBe(31_000);
    expect(config.clientTimeoutMs).toBe(22_000);
    expect(config.replyTimeoutMs).toBe(13_000);
    expect(config.connectTimeoutMs).toBe(3000);
  });

  it('holds for switches in both directions', () => {
    const config = file('server: [10.0.0.1]\nteardown-on-disconnect: true\n');
    expect(load({ flags: { config } }).config.teardownOnDisconnect).toBe(true);
    expect(load({ flags: { config, 'teardown-on-disconnect': false } }).config.teardownOnDisconnect).toBe(false);
    const env = { PENSTOCK_TEARDOWN_ON_DISCONNECT: 'no' };
    expect(load({ flags: { config }, env }).config.teardownOnDisconnect).toBe(false);
  });

  it('takes the file from the environment too, and lists separated by commas', () => {
    const env = { PENSTOCK_CONFIG: file('method: random-two\n'), PENSTOCK_SERVER: '10.0.0.1, 10.0.0.2:8554' };
    const [vserver] = load({ env }).config.vservers;
    expect(vserver?.method).toBe('random-two');
    expect(vserver?.services.map((service) => service.name)).toEqual(['10.0.0.1:554', '10.0.0.2:8554']);
  });

  it('takes an empty variable as one that is not set', () => {
    expect(load({ flags: { server }, env: { PENSTOCK_IDLE_TIMEOUT: '' } }).config.idleTimeoutMs).toBe(60_000);
  });

  it('puts the vserver of the command line in the place of those in the file', () => {
    const config = file('vservers:\n  - name: cams\n    listen: [":8554"]\n    services: [10.0.0.1]\n');
    expect(load({ flags: { config } }).config.vservers.map(({ name }) => name)).toEqual(['cams']);
    const flags = { config, listen: [':9554'], server: ['10.0.0.2'] };
    const vservers = load({ flags }).config.vservers;
    expect(vservers.map(({ name, listen }) => [name, listen[0]?.port])).toEqual([['default', 9554]]);
  });

  it('makes paths relative to the file that names them, others to the current directory', () => {
    const config = file('server: [10.0.0.1]\nstate-dir: state\nsession-key-file: /etc/key\n');
    expect(load({ flags: { config } }).config).toMatchObject({
      stateDir: join(folder, 'state'),
      sessionKeyFile: '/etc/key',
    });
    expect(load({ flags: { config, 'state-dir': 'x' }, cwd: folder }).config.stateDir).toBe(join(folder, 'x'));
  });
});

describe('a vserver of the file', () => {
  it('has services as mappings or in one line, and inherits method and monitor', () => {
    const text = `
method: url-hash
monitor: options
monitor-interval: 500ms
vservers:
  - name: cams
    listen: [":8554", "[::]:8554"]
    services:
      - 10.0.0.1:8554?weight=3&max-sessions=10&media-source=10.0.0.3,[2001:DB8::3]&name=left&monitor=describe&path=/a&timeout=1
      - address: Cam-2.Example
        name: right
        media-source: [10.0.0.4]
        monitor: { fall: 1 }
  - name: other
    listen: [":9554"]
    method: source-hash
    services:
      - address: "[2001:DB8::1]:8554"
        monitor: none
`;
    const [cams, other] = load({ flags: { config: file(text) } }).config.vservers;
    expect(cams?.listen).toEqual([
      { address: '0.0.0.0', port: 8554, tls: false },
      { address: '::', port: 8554, tls: false },
    ]);
    expect(cams?.method).toBe('url-hash');
    expect(cams?.services).toMatchObject([
      {
        name: 'left',
        host: '10.0.0.1',
        port: 8554,
        weight: 3,
        maxSessions: 10,
        mediaSources: ['10.0.0.3', '2001:db8::3'],
        monitor: { kind: 'describe', path: '/a', timeoutMs: 1000, intervalMs: 500 },
      },
      {
        name: 'right',
        host: 'cam-2.example',
        port: 554,
        weight: 1,
        mediaSources: ['10.0.0.4'],
        monitor: { kind: 'options', fall: 1, rise: 2 },
      },
    ]);
    expect(other?.method).toBe('source-hash');
    expect(other?.services).toMatchObject([
      { name: '[2001:db8::1]:8554', host: '2001:db8::1', port: 8554, monitor: { kind: 'none' } },
    ]);
  });
});

describe('faults', () => {
  it('name file, line, key, and what is accepted', () => {
    expect(faultsOf('server: [10.0.0.1]\n\n# comment\nlatching: same\n')).toEqual([
      'FILE:4: latching: expected one of off, same-ip, any; got "same"',
    ]);
  });

  it('name the flag or the variable', () => {
    expect(faults({ flags: { server, workers: '0' }, env: { PENSTOCK_ADMIN: '127.0.0.1' } })).toEqual([
      '--workers: expected a whole number from 1 to 64; got "0" (out of range)',
      'PENSTOCK_ADMIN: expected ADDR:PORT with an IP address (IPv6 in brackets); got "127.0.0.1" (the port is missing)',
    ]);
  });

  it('come all at once', () => {
    const text = `
workers: many
vservers:
  - name: cams
    listen: [":8554"]
    services:
      - address: 10.0.0.1
        weight: -1
        monitor: { kind: describe, path: nopath }
  - name: cams
    listen: [":8554"]
    services: []
idle-timout: 5
`;
    expect(faults({ flags: { config: file(text) }, env: { PENSTOCK_LATCHING: 'x' } })).toEqual([
      'PENSTOCK_LATCHING: expected one of off, same-ip, any; got "x"',
      'FILE:13: idle-timout: unknown key; did you mean "idle-timeout"?',
      'FILE:2: workers: expected a whole number from 1 to 64; got "many" (not a whole number)',
      'FILE:8: vservers[0].services[0].weight: expected a whole number from 1 to 1000; got -1 (not a whole number)',
      'FILE:9: vservers[0].services[0].monitor.path: expected a path that begins with /; got "nopath" (not such a path)',
      'FILE:10: vservers[1]: "cams" is already a vserver name (FILE:4: vservers[0])',
      'FILE:11: vservers[1].listen[0]: "0.0.0.0:8554" is already a listen address (FILE:5: vservers[0].listen[0])',
      'FILE:10: vservers[1]: vserver "cams" has no services',
    ]);
  });

  it('suggest the nearest key at each level, or list the keys', () => {
    const text = `
vservers:
  - name: cams
    listn: [":8554"]
    listen: [":8554"]
    services:
      - address: 10.0.0.1
        wieght: 2
        monitor: { intervall: 3 }
      - 10.0.0.2?wight=2
zzzzzzzzzzzz: 1
`;
    const found = faultsOf(text);
    expect(found).toContain('FILE:4: vservers[0].listn: unknown key; did you mean "listen"?');
    expect(found).toContain('FILE:8: vservers[0].services[0].wieght: unknown key; did you mean "weight"?');
    expect(found).toContain('FILE:9: vservers[0].services[0].monitor.intervall: unknown key; did you mean "interval"?');
    expect(found).toContain('FILE:10: vservers[0].services[1]: wight: unknown key; did you mean "weight"?');
    expect(found).toContainEqual(
      expect.stringMatching(/^FILE:11: zzzzzzzzzzzz: unknown key; accepted: listen, server,/),
    );
    expect(found).toHaveLength(5);
  });

  it.each([
    ['59999-20000', 'the range is inverted'],
    ['20001-59999', 'the first port is odd: RTP ports are even'],
    ['20000-59998', 'the last port is even: RTCP ports are odd'],
    ['20000-20001', 'one stream needs four ports'],
    ['500-1003', 'out of range'],
    ['20000', 'not FIRST-LAST'],
  ])('refuse media-ports %s', (range, why) => {
    expect(faults({ flags: { server, 'media-ports': range } })).toEqual([
      `--media-ports: expected FIRST-LAST from 1024 to 65535, first even, last odd; got "${range}" (${why})`,
    ]);
  });

  it('tell of a missing farm', () => {
    expect(faults({})).toEqual(['--server or "vservers": vserver "default" has no services']);
    expect(faults({ flags: { server, 'media-address': ['server:10.0.0.1', 'server:10.0.0.2'] } })).toEqual([
      'media-address: two `server:` addresses of one family',
    ]);
    expect(faultsOf('vservers: []\n')[0]).toMatch(/^FILE:1: vservers: expected a list of mappings with name, listen/);
    expect(faultsOf('vservers:\n  - services: [10.0.0.1]\n')).toEqual([
      'FILE:2: vservers[0]: the vserver has no "name"',
      'FILE:2: vservers[0]: the vserver has no "listen"',
    ]);
  });

  it('tell of one server twice in a vserver, and of one name for two services', () => {
    expect(faults({ flags: { server: ['10.0.0.1', 'rtsp://10.0.0.1:554?weight=2'] } })).toEqual([
      '--server: "10.0.0.1:554" is already a service address of vserver "default" (--server)',
    ]);
    expect(faults({ flags: { server: ['10.0.0.1?name=a', '10.0.0.2?name=a'] } })).toEqual([
      '--server: "a" is already a service name, give one of them another (--server)',
    ]);
  });

  it('tell of vservers beside listen or server', () => {
    const text = 'listen: [":554"]\nvservers:\n  - { name: a, listen: [":555"], services: [10.0.0.1] }\n';
    expect(faultsOf(text)).toEqual(['FILE:1: listen: cannot stand beside "vservers"; write it there']);
  });

  it('tell of text that is not YAML, with its line', () => {
    expect(faultsOf('workers: 2\nlisten: [\n')[0]).toMatch(/^FILE:\d: not YAML: /);
    expect(faultsOf('workers: 2\nworkers: 3\n')[0]).toBe('FILE:2: not YAML: Map keys must be unique');
    expect(faultsOf('just text\n')[0]).toBe('FILE:1: expected a mapping of keys to values');
  });

  it('tell of a file that is not there', () => {
    expect(faults({ flags: { config: 'nowhere.yaml' } })[0]).toMatch(/^nowhere\.yaml: ENOENT/);
  });

  it('find the line behind an alias', () => {
    const text =
      'monitor-rise: &n 2\nvservers:\n  - &v\n    name: a\n    listen: [":1554"]\n    services: [x?weight=0]\n  - *v\n';
    expect(faultsOf(text)).toContain(
      'FILE:6: vservers[1].services[0]: weight: expected a whole number from 1 to 1000; got "0" (out of range)',
    );
  });
});

describe('warnings', () => {
  it('speak of risky options and of variables that look mistyped', () => {
    const everybody = ['10.0.0.5', '::/0'];
    const flags = { server, latching: 'any', admin: '0.0.0.0:9000', 'proxy-protocol-from': everybody };
    const { warnings } = load({ flags, env: { PENSTOCK_WORKRES: '2', PENSTOCKER: 'x', PENSTOCK_SOMETHING_ELSE: 'x' } });
    expect(warnings).toEqual([
      expect.stringContaining('latching "any"'),
      expect.stringContaining('proxy-protocol-from ::/0 lets any host'),
      expect.stringContaining('admin 0.0.0.0 can be reached from other machines'),
      'PENSTOCK_WORKRES is not an option; did you mean PENSTOCK_WORKERS?',
    ]);
  });
});
