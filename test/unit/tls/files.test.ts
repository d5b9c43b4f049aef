import { copyFileSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import type { Config } from '../../../src/config/types.js';
import { createLogger } from '../../../src/log/logger.js';
import { TlsFiles } from '../../../src/tls/files.js';
import { readTlsMaterial, type TlsMaterial } from '../../../src/tls/material.js';
import { CA, type CertificateName, certificateFile, certificateOf } from '../../support/certificates.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'penstock-tls-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
});

function put(name: CertificateName, part: 'pem' | 'key', as: string): void {
  copyFileSync(certificateFile(`${name}.${part}`), join(folder, as));
}

function config(certificate: string, key: string, cas: { client?: string; server?: string } = {}): Config {
  const at = (file: string) => join(folder, file);
  const tls = {
    certificates: [{ certificate: at(certificate), key: at(key) }],
    ...(cas.client === undefined ? {} : { clientCa: at(cas.client) }),
  };
  const service = { name: 'cam', tls: { verify: true, ...(cas.server === undefined ? {} : { ca: at(cas.server) }) } };
  return {
    vservers: [
      { name: 'main', tls, services: [service, { name: 'plain' }] },
      { name: 'plain', services: [] },
    ],
  } as unknown as Config;
}

describe('what the files hold', () => {
  it('is read for vservers and services that have TLS', () => {
    put('edge', 'pem', 'edge.pem');
    put('edge', 'key', 'edge.key');
    writeFileSync(join(folder, 'ca.pem'), CA);
    expect(readTlsMaterial(config('edge.pem', 'edge.key', { client: 'ca.pem', server: 'ca.pem' }))).toEqual({
      vservers: { main: { certificates: [certificateOf('edge')], clientCa: CA } },
      services: { cam: CA },
    });
  });

  it('may be one file of certificate, chain and key', () => {
    const { certificate, key } = certificateOf('edge');
    writeFileSync(join(folder, 'all.pem'), `${key}${certificate}${CA}`);
    expect(readTlsMaterial(config('all.pem', 'all.pem')).vservers.main?.certificates).toHaveLength(1);
  });

  it.each([
    ['no.pem', 'edge.key', /no\.pem: ENOENT/],
    ['edge.pem', 'no.key', /no\.key: ENOENT/],
    ['edge.key', 'edge.key', /edge\.key: it holds no certificate in PEM form/],
    ['edge.pem', 'edge.pem', /edge\.pem: /],
    ['edge.pem', 'other.key', /edge\.pem: the key in .*other\.key belongs to another certificate/],
    ['cut.pem', 'edge.key', /cut\.pem: /],
  ])('refuses %s with %s', (certificate, key, message) => {
    put('edge', 'pem', 'edge.pem');
    put('edge', 'key', 'edge.key');
    put('other', 'key', 'other.key');
    writeFileSync(join(folder, 'cut.pem'), certificateOf('edge').certificate.replace(/\n.{60}/, '\n'));
    const read = () => readTlsMaterial(config(certificate, key));
    expect(read).toThrow(expect.objectContaining({ code: 'PENSTOCK_ERR_CERTIFICATE', exitStatus: 3 }));
    expect(read).toThrow(message);
  });

  it('refuses a file of authorities that holds none', () => {
    put('edge', 'pem', 'edge.pem');
    put('edge', 'key', 'edge.key');
    expect(() => readTlsMaterial(config('edge.pem', 'edge.key', { server: 'edge.key' }))).toThrow(
      /edge\.key: it holds no certificate in PEM form/,
    );
  });
});

describe('files that change', () => {
  const lines: { level: string; msg: string }[] = [];
  const told: TlsMaterial[] = [];
  const shown = () => told.map(({ vservers }) => vservers.main?.certificates[0]?.certificate);

  function watch(spec: Config): TlsFiles {
    const write = (line: string) => lines.push(JSON.parse(line));
    const log = createLogger({ level: 'info', process: 'test', destination: { write } });
    return new TlsFiles(spec, log, (material) => told.push(material));
  }

  beforeEach(() => {
    lines.length = 0;
    told.length = 0;
    put('edge', 'pem', 'now.pem');
    put('edge', 'key', 'now.key');
  });

  it('are read when they have come to rest, never half way', () => {
    const files = watch(config('now.pem', 'now.key'));
    files.look();
    put('other', 'pem', 'now.pem'); // for a moment certificate and key do not belong together
    files.look();
    put('other', 'key', 'now.key');
    files.look();
    expect(told).toEqual([]);
    files.look();
    files.look();
    expect(shown()).toEqual([certificateOf('other').certificate]);
    expect(files.material).toBe(told[0]);
    expect(lines.map(({ level }) => level)).toEqual(['info']);
  });

  it('are found behind a link that leads elsewhere', () => {
    rmSync(join(folder, 'now.pem'));
    put('edge', 'pem', 'old.pem');
    put('edge', 'pem', 'new.pem');
    symlinkSync('old.pem', join(folder, 'now.pem'));
    const files = watch(config('now.pem', 'now.key'));
    symlinkSync('new.pem', join(folder, 'next.pem'));
    renameSync(join(folder, 'next.pem'), join(folder, 'now.pem'));
    files.look();
    files.look();
    expect(told).toHaveLength(1);
  });

  it('that cannot be used change nothing, are told of once, and are tried again when they change again', () => {
    const files = watch(config('now.pem', 'now.key'));
    rmSync(join(folder, 'now.key'));
    for (let look = 0; look < 5; look++) files.look();
    expect(told).toEqual([]);
    expect(files.material.vservers.main?.certificates).toEqual([certificateOf('edge')]);
    expect(lines).toMatchObject([{ level: 'error', code: 'PENSTOCK_ERR_CERTIFICATE' }]);
    put('edge', 'key', 'now.key');
    files.look();
    files.look();
    expect(shown()).toEqual([certificateOf('edge').certificate]);
  });

  it('are read at once when it is asked for', () => {
    const files = watch(config('now.pem', 'now.key'));
    put('other', 'pem', 'now.pem');
    put('other', 'key', 'now.key');
    files.reload();
    expect(shown()).toEqual([certificateOf('other').certificate]);
  });

  it('at the start must be usable', () => {
    rmSync(join(folder, 'now.key'));
    expect(() => watch(config('now.pem', 'now.key'))).toThrow(/now\.key/);
  });
});
