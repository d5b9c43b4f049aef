import { expect, it } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import type { ConfigSpec } from '../../../src/config/types.js';
import { PenstockError } from '../../../src/errors.js';
import { configFile } from './config-file.js';

const load = (flags: Record<string, unknown>): ConfigSpec =>
  loadConfig({ flags, env: {}, cwd: '/etc/penstock' }).config;

const faults = (flags: Record<string, unknown>): string[] => {
  try {
    load(flags);
  } catch (error) {
    if (error instanceof PenstockError)
      return error.message.split('\n').map((line) => line.replace(/^.*\.yaml/, 'FILE'));
    throw error;
  }
  throw new Error('expected a fault');
};

const flags = { listen: ['rtsps://:322'], server: ['10.0.0.1'], 'tls-certificate': ['edge.pem'] };

it('one file may hold certificate and key', () => {
  expect(load(flags).vservers[0]?.tls).toEqual({
    certificates: [{ certificate: '/etc/penstock/edge.pem', key: '/etc/penstock/edge.pem' }],
    clientCertificates: 'none',
  });
});

it('keys stand in the order of the certificates', () => {
  const given = { ...flags, 'tls-certificate': ['a.pem', '/b.pem'], 'tls-key': ['a.key', 'b.key'] };
  expect(load(given).vservers[0]?.tls?.certificates).toEqual([
    { certificate: '/etc/penstock/a.pem', key: '/etc/penstock/a.key' },
    { certificate: '/b.pem', key: '/etc/penstock/b.key' },
  ]);
});

it('a vserver without TLS needs none of it', () => {
  expect(load({ ...flags, listen: [':554'] }).vservers[0]).not.toHaveProperty('tls');
});

it('a vserver has what it says itself, relative to the file, and the rest from above', () => {
  const text = `
tls-certificate: above.pem
tls-key: above.key
tls-client-certificates: required
tls-client-ca: above-ca.pem
vservers:
  - { name: one, listen: ["rtsps://:322"], services: [10.0.0.1] }
  - name: two
    listen: ["rtsps://:323", ":554"]
    tls-certificate: two.pem
    tls-client-certificates: optional
    tls-client-ca: /two-ca.pem
    services:
      - { address: "rtsps://cam.example", ca: cam-ca.pem, server-name: Cam.Example, verify: false }
      - "rtsps://[2001:db8::1]:8322"
`;
  const { folder, name } = configFile(text);
  const [one, two] = load({ config: `${folder}/${name}` }).vservers;
  expect(one?.tls).toEqual({
    certificates: [{ certificate: `${folder}/above.pem`, key: `${folder}/above.key` }],
    clientCertificates: 'required',
    clientCa: `${folder}/above-ca.pem`,
  });
  expect(two?.tls).toEqual({
    certificates: [{ certificate: `${folder}/two.pem`, key: `${folder}/two.pem` }],
    clientCertificates: 'optional',
    clientCa: '/two-ca.pem',
  });
  expect(two?.services.map(({ host, port, tls }) => ({ host, port, tls }))).toEqual([
    { host: 'cam.example', port: 322, tls: { verify: false, ca: `${folder}/cam-ca.pem`, serverName: 'cam.example' } },
    { host: '2001:db8::1', port: 8322, tls: { verify: true } },
  ]);
});

it.each([
  [{ 'tls-certificate': [] }, '--server or "vservers": an rtsps:// address needs tls-certificate'],
  [{ 'tls-key': ['a', 'b'] }, '--server or "vservers": 2 tls-key for 1 tls-certificate; expected one for each or none'],
  [
    { 'tls-client-certificates': 'optional' },
    '--server or "vservers": tls-client-certificates "optional" needs tls-client-ca',
  ],
  [{ server: ['cam?verify=false'] }, '--server: "verify" is for a service with an rtsps:// address'],
  [
    { server: ['rtsps://cam?server-name=cam:1'] },
    '--server: server-name: expected a host name or IP address; got "cam:1" (not a host name or IP address)',
  ],
])('refuses %o', (changed, fault) => expect(faults({ ...flags, ...changed })).toEqual([fault]));
