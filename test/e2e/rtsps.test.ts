import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TLSSocket, connect as tlsConnect } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { CA, type CertificateName, certificateFile, certificateOf } from '../support/certificates.js';
import { MEDIA } from '../support/media.js';
import { NET, TestNetwork } from '../support/netns.js';
import { playFfmpeg, playGst, startGstServer } from '../support/peers.js';
import { Penstock } from '../support/penstock.js';
import { eventually } from '../support/program.js';

const SECONDS = 3;
const FRAMES = SECONDS * MEDIA.framesPerSecond - 2;
const ca = certificateFile('ca.pem');
const certificateFiles = (name: CertificateName) =>
  certificateOf(name) && { cert: certificateOf(name).certificate, key: certificateOf(name).key };
const own = (name: CertificateName) => [
  '--tls-certificate',
  certificateFile(`${name}.pem`),
  '--tls-key',
  certificateFile(`${name}.key`),
];
const listen = ['--listen', `rtsps://${NET.client.edge}:8322`, '--listen', `rtsp://${NET.client.edge}:8554`];
const url = { secure: `rtsps://${NET.client.edge}:8322/test`, plain: `rtsp://${NET.client.edge}:8554/test` };
const server = { plain: `${NET.serverA.ip}:8554`, secure: `rtsps://${NET.serverB.ip}:8322` };

let net: TestNetwork;
let appliance: Penstock;

beforeAll(async () => {
  net = TestNetwork.create();
  const tls: [string, string] = [certificateFile('camera.pem'), certificateFile('camera.key')];
  await startGstServer(net.serverA);
  await startGstServer(net.serverB, { port: 8322, tls });
  await startGstServer(net.serverB, { port: 8323, tls, srtp: true });
});
afterEach(async () => await appliance.stop());
afterAll(() => net.destroy());

/** The appliance, once it knows that its server is up. */
async function start(...args: string[]): Promise<void> {
  appliance = await Penstock.start(net.appliance, [...listen, ...own('edge'), '--monitor', 'options', ...args]);
  await eventually('the server is up', async () => (await appliance.show('service'))[0]?.state === 'up' || undefined);
}

async function expectPlays(from: string, clients: ('ffmpeg' | 'rtspsrc')[] = ['ffmpeg', 'rtspsrc']): Promise<void> {
  for (const transport of ['udp', 'tcp'] as const) {
    const options = { transport, seconds: SECONDS, ca };
    const played = [
      ...(clients.includes('ffmpeg') ? [await playFfmpeg(net.client, from, options)] : []),
      ...(clients.includes('rtspsrc') ? await playGst(net.client, [from], options) : []),
    ];
    for (const { error, frames } of played) {
      expect(error).toBeUndefined();
      expect(frames).toBeGreaterThanOrEqual(FRAMES);
    }
  }
}

describe('a session plays', () => {
  it('from a client by TLS to a server in the clear', async () => {
    await start('--server', server.plain);
    await expectPlays(url.secure);
  });

  it('from a client in the clear to a server by TLS', async () => {
    await start('--server', `${server.secure}?ca=${ca}`);
    await expectPlays(url.plain);
  });

  it('by TLS on both sides', async () => {
    await start('--server', `${server.secure}?ca=${ca}`);
    await expectPlays(url.secure);
  });

  it('with SRTP, whose keys only the two ends know', async () => {
    await start('--server', `rtsps://${NET.serverB.ip}:8323?ca=${ca}`);
    await expectPlays(url.secure, ['rtspsrc']);
  });
});

describe('a server by TLS', () => {
  it.each([
    ['of an unknown authority', server.secure, 'unable to verify the first certificate'],
    ['with the name of another', `${server.secure}?ca=${ca}&server-name=edge.example`, 'does not match'],
  ])('%s is down, and the client gets 503', async (_, to, reason) => {
    appliance = await Penstock.start(net.appliance, [...listen, ...own('edge'), '--server', to, '--monitor-fall', '1']);
    await eventually('the server is down', async () => {
      const [service] = await appliance.show('service');
      return service?.state === 'down' ? service.reason.includes(reason) || undefined : undefined;
    });
    expect((await playFfmpeg(net.client, url.plain, { transport: 'udp', seconds: 1 })).error).toContain('503');
  });

  it('is believed without a look where the operator says so', async () => {
    await start('--server', `${server.secure}?verify=false`);
    await expectPlays(url.plain, ['ffmpeg']);
  });
});

/** A handshake as a client in the network makes it. */
async function handshake(options: { servername?: string; client?: CertificateName } = {}): Promise<TLSSocket> {
  const socket = await net.client.connect(NET.client.edge, 8322);
  const { servername, client } = options;
  const secure = tlsConnect({
    socket,
    ca: CA,
    ...(servername === undefined ? { host: NET.client.edge } : { servername }),
    rejectUnauthorized: false,
    ...(client ? certificateFiles(client) : {}),
  });
  onTestFinished(() => void secure.destroy());
  return await new Promise((resolve, reject) =>
    secure.once('secureConnect', () => resolve(secure)).once('error', reject),
  );
}

it('certificates are chosen by name, and exchanged while sessions go on', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'penstock-certificates-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const put = (name: CertificateName) => {
    for (const part of ['pem', 'key']) copyFileSync(certificateFile(`${name}.${part}`), join(folder, `now.${part}`));
  };
  const shown = async (servername?: string) =>
    (await handshake(servername ? { servername } : {})).getPeerCertificate().subject.CN;
  put('stranger');
  const now = ['--tls-certificate', join(folder, 'now.pem'), '--tls-key', join(folder, 'now.key')];
  appliance = await Penstock.start(net.appliance, [...listen, ...now, ...own('other'), '--server', server.plain]);
  expect(await shown()).toContain('stranger');
  expect(await shown('cam.other.example')).toContain('other');

  const playing = playFfmpeg(net.client, url.secure, { transport: 'tcp', seconds: SECONDS });
  await eventually('it plays', async () => (await appliance.show('session')).length === 1 || undefined);
  put('edge');
  process.kill(appliance.pid, 'SIGHUP');
  await eventually('the new one is shown', async () => (await shown())?.includes('edge') || undefined);
  expect((await playing).frames).toBeGreaterThanOrEqual(FRAMES);
});
