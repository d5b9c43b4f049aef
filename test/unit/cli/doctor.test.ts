import { tmpdir } from 'node:os';
import { describe, expect, it } from 'vitest';
import type { Probe } from '../../../src/cli/context.js';
import { diagnose, type Finding, type Wanted } from '../../../src/cli/diagnosis.js';
import type { Machine } from '../../../src/cli/machine.js';
import { cpuMask } from '../../../src/cli/packet-path.js';
import { besides, overlap, parseRanges } from '../../../src/cli/port-ranges.js';
import { goodProbe, run } from './run.js';

const goodSysctl: Record<string, string> = {
  'net.ipv4.ip_local_port_range': '10000\t19999',
  'net.ipv4.ip_local_reserved_ports': '',
  'net.ipv4.ip_unprivileged_port_start': '1024',
  'fs.nr_open': '1048576',
};
const wanted: Wanted = {
  listen: [{ address: '0.0.0.0', port: 8554 }],
  mediaPorts: { min: 20000, max: 59999 },
  workers: 2,
  maxStreams: 8192,
  receiveBuffer: 4_194_304,
  interleavedBacklog: 1 << 20,
  packetPath: 'auto',
  stateDir: '/var/lib/penstock',
};

function machine(sysctl: Record<string, string> = {}, rest: Partial<Machine> = {}): Machine {
  const all: Record<string, string> = { ...goodSysctl, ...sysctl };
  const usual = { nodeVersion: '20.17.0', uid: 1000, writable: () => true, cpus: 4, interfaces: () => [] };
  return { ...usual, sysctl: (name) => all[name], ...rest };
}

/** Of somebody whose rights are not known. */
const plainProbe: Probe = { ...goodProbe, capabilities: null };

const card = { name: 'eth0', pair: false, groFlushTimeoutNs: 50_000, receiveQueues: 4, spread: false };

const bad = (findings: Finding[]): Finding[] => findings.filter(({ status }) => status !== 'ok');

describe('diagnose', () => {
  it('finds nothing wrong with a good machine', () => {
    const findings = diagnose(machine(), goodProbe, wanted);
    expect(bad(findings)).toEqual([]);
    expect(findings.map(({ name }) => name)).toEqual([
      'node',
      'addon',
      'sealed memfd',
      'GSO',
      'GRO',
      'packet path',
      'receive buffer',
      'descriptors',
      'CAP_NET_BIND_SERVICE',
      'CAP_NET_ADMIN',
      'CAP_BPF',
      'media ports',
      'listen ports',
      'state directory',
    ]);
  });

  const cases: [string, Machine, Probe, Partial<Wanted>, Finding['status'], RegExp, string][] = [
    [
      'node',
      machine({}, { nodeVersion: '20.16.9' }),
      goodProbe,
      {},
      'fatal',
      /20\.16\.9, needs 20\.17/,
      'npm run setup',
    ],
    ['sealed memfd', machine(), { ...goodProbe, sealedMemfd: 'EINVAL' }, {}, 'fatal', /EINVAL/, 'Linux'],
    ['GSO', machine(), { ...goodProbe, gso: 'ENOPROTOOPT' }, {}, 'warn', /ENOPROTOOPT/, '--packet-path mmsg'],
    [
      'packet path',
      machine(),
      { ...goodProbe, offload: 'EPERM: not you' },
      { packetPath: 'offload' },
      'warn',
      /^gso; no offload: EPERM: not you$/,
      '--ambient-caps +net_admin,+bpf npx penstock',
    ],
    ['packet path', machine(), { ...goodProbe, offload: 'EPERM' }, {}, 'hint', /no offload/, 'setpriv'],
    ['packet path', machine(), { ...goodProbe, offload: 'no tcx' }, {}, 'hint', /no tcx/, 'Linux 6.6'],
    [
      'merging eth0',
      machine({}, { interfaces: () => [{ ...card, groFlushTimeoutNs: 0 }] }),
      goodProbe,
      {},
      'hint',
      /one by one/,
      'echo 50000 | sudo tee /sys/class/net/eth0/gro_flush_timeout && ' +
        'echo 1 | sudo tee /sys/class/net/eth0/napi_defer_hard_irqs',
    ],
    [
      'merging eth0',
      machine({}, { interfaces: () => [{ ...card, groFlushTimeoutNs: 0, pair: true }] }),
      goodProbe,
      {},
      'hint',
      /one by one/,
      'sudo ethtool -K eth0 gro on rx-udp-gro-forwarding on',
    ],
    [
      'steering eth0',
      machine({}, { interfaces: () => [{ ...card, receiveQueues: 1 }] }),
      goodProbe,
      {},
      'hint',
      /one of 4 cores/,
      'echo f | sudo tee /sys/class/net/eth0/queues/rx-0/rps_cpus',
    ],
    [
      'receive buffer',
      machine(),
      { ...plainProbe, rmemMax: 212_992 },
      {},
      'warn',
      /rmem_max 212992, receive-buffer 4194304/,
      'sudo sysctl -w net.core.rmem_max=4194304',
    ],
    [
      'receive buffer',
      machine(),
      { ...plainProbe, rmemMax: 4_194_304 },
      { interleavedBacklog: 4_000_000 },
      'warn',
      /interleaved-backlog 4000000/,
      'sudo sysctl -w net.core.rmem_max=8000000',
    ],
    [
      'descriptors',
      machine(),
      { ...goodProbe, fileLimit: { soft: 1024, hard: 4352 } },
      {},
      'warn',
      /1024 UDP streams, 512 sessions of 2; 2 workers with 8192 streams each need 65792/,
      'sudo prlimit --pid $$ --nofile=65792:65792',
    ],
    [
      'descriptors',
      machine(),
      { ...goodProbe, fileLimit: { soft: 1024, hard: 4352 } },
      { workers: 64 },
      'warn',
      /need 2097408/,
      'sudo sysctl -w fs.nr_open=2097408 && sudo prlimit --pid $$ --nofile=2097408:2097408',
    ],
    [
      'media ports',
      machine({ 'net.ipv4.ip_local_port_range': '32768\t60999' }),
      goodProbe,
      {},
      'warn',
      /10000 UDP streams; the kernel gives 32768-59999 to other programs too/,
      'sudo sysctl -w net.ipv4.ip_local_port_range="10000 19999"',
    ],
    [
      'listen ports',
      machine(),
      plainProbe,
      { listen: [{ address: '0.0.0.0', port: 554 }] },
      'warn',
      /554: to listen below 1024 takes CAP_NET_BIND_SERVICE/,
      'sudo sysctl -w net.ipv4.ip_unprivileged_port_start=554',
    ],
    [
      'state directory',
      machine({}, { writable: () => false }),
      goodProbe,
      {},
      'fatal',
      /cannot be written/,
      'sudo install -d',
    ],
  ];

  it.each(cases)('finds %s wanting (%#)', (name, where, probe, options, status, found, fix) => {
    const findings = bad(diagnose(where, probe, { ...wanted, ...options }));
    expect(findings).toEqual([
      { name, status, found: expect.stringMatching(found), fix: expect.stringContaining(fix) },
    ]);
  });

  it('asks for nothing that was switched off', () => {
    const findings = diagnose(machine(), { ...goodProbe, offload: 'EPERM' }, { ...wanted, packetPath: 'gso' });
    expect(bad(findings)).toEqual([]);
    expect(findings).toContainEqual({ name: 'packet path', status: 'ok', found: 'gso, as told' });
  });

  it('has nothing to say of cards that are set up, nor of steering on a single core', () => {
    const single = { ...card, receiveQueues: 1 };
    const machines = [
      machine({}, { interfaces: () => [card, { ...single, spread: true }] }),
      machine({}, { interfaces: () => [single], cpus: 1 }),
    ];
    for (const one of machines) expect(bad(diagnose(one, goodProbe, wanted))).toEqual([]);
  });

  it('counts reserved ports as ours, and root as allowed to listen anywhere', () => {
    const sysctl = {
      'net.ipv4.ip_local_port_range': '32768\t60999',
      'net.ipv4.ip_local_reserved_ports': '32768-59999',
    };
    const options = { ...wanted, listen: [{ address: '0.0.0.0', port: 554 }] };
    expect(bad(diagnose(machine(sysctl, { uid: 0 }), plainProbe, options))).toEqual([]);
  });
});

describe('the capabilities of a process', () => {
  const none = { netBindService: false, netAdmin: false, bpf: false };
  const low = { ...wanted, listen: [{ address: '0.0.0.0', port: 554 }] };
  const named = (findings: Finding[]) =>
    findings.filter(({ name }) => name.startsWith('CAP_')).map(({ name, status, found }) => [name, status, found]);

  it('are named, with what they are good for', () => {
    expect(named(diagnose(machine(), goodProbe, wanted))).toEqual([
      ['CAP_NET_BIND_SERVICE', 'ok', 'there: for listening on low ports'],
      ['CAP_NET_ADMIN', 'ok', 'there: for tier offload, and for receive buffers beyond net.core.rmem_max'],
      ['CAP_BPF', 'ok', 'there: for tier offload'],
    ]);
  });

  it('are missed where they are needed', () => {
    const missed = named(diagnose(machine(), { ...goodProbe, capabilities: none }, low));
    expect(missed.map(([name, status]) => [name, status])).toEqual([
      ['CAP_NET_BIND_SERVICE', 'hint'],
      ['CAP_NET_ADMIN', 'hint'],
      ['CAP_BPF', 'hint'],
    ]);
    expect(missed[2]?.[2]).toBe('missing: for tier offload (docs/service.md)');
  });

  it('are not missed where nothing needs them', () => {
    const options: Wanted = { ...wanted, packetPath: 'gso' };
    const findings = named(diagnose(machine(), { ...goodProbe, capabilities: none }, options));
    expect(findings.map(([, status]) => status)).toEqual(['ok', 'ok', 'ok']);
    expect(findings[0]?.[2]).toBe('missing, not needed: for listening on low ports');
  });

  it('count for more than the user: a low port and a large buffer are theirs', () => {
    const probe = { ...goodProbe, rmemMax: 212_992 };
    expect(bad(diagnose(machine(), probe, low))).toEqual([]);
    const root = diagnose(machine({}, { uid: 0 }), { ...probe, capabilities: none }, low);
    expect(bad(root).map(({ name }) => name)).toEqual(
      expect.arrayContaining(['listen ports', 'receive buffer', 'CAP_NET_BIND_SERVICE']),
    );
  });
});

it('masks of cores are written as the kernel reads them', () => {
  expect([1, 4, 32, 33, 96].map(cpuMask)).toEqual(['1', 'f', 'ffffffff', '1,ffffffff', 'ffffffff,ffffffff,ffffffff']);
});

describe('port ranges', () => {
  it('are read as the kernel writes them', () => {
    expect(parseRanges('32768\t60999')).toEqual([{ min: 32768, max: 60999 }]);
    expect(parseRanges('8080,9000-9010')).toEqual([
      { min: 8080, max: 8080 },
      { min: 9000, max: 9010 },
    ]);
    expect(parseRanges('')).toEqual([]);
  });

  it('overlap without the exceptions', () => {
    const range = { min: 100, max: 200 };
    expect(overlap(range, { min: 300, max: 400 }, [])).toEqual([]);
    expect(overlap(range, { min: 150, max: 400 }, [{ min: 160, max: 169 }])).toEqual([
      { min: 150, max: 159 },
      { min: 170, max: 200 },
    ]);
    expect(overlap(range, { min: 150, max: 400 }, [{ min: 1, max: 999 }])).toEqual([]);
  });

  it('leave room beside the media ports', () => {
    expect(besides({ min: 20000, max: 59999 })).toEqual({ min: 10000, max: 19999 });
    expect(besides({ min: 12000, max: 29999 })).toEqual({ min: 30000, max: 65535 });
  });
});

describe('penstock doctor', () => {
  it('prints a fix below each finding, or JSON', async () => {
    const probe = { ...plainProbe, rmemMax: 212_992 };
    const args = ['doctor', '--state-dir', tmpdir(), '--listen', '127.0.0.1:8554'];
    const text = await run(args, { probe });
    expect(text.code).toBe(0);
    expect(text.out).toMatch(/^warn {2}receive buffer +net\.core\.rmem_max 212992.*\n +fix: sudo sysctl -w/m);
    const json = await run([...args, '--json'], { probe });
    expect(JSON.parse(json.out)).toContainEqual(expect.objectContaining({ name: 'GSO', status: 'ok' }));
  });

  it('ends with 1 where no appliance can run', async () => {
    const { code, out } = await run(['doctor', '--state-dir', tmpdir()], { probe: 'missing' });
    expect(code).toBe(1);
    expect(out).toMatch(/^fatal addon +it is not built\n +fix: npm run setup/m);
  });
});
