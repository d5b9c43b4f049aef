import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { CertificateFiles, ConfigSpec, TlsConfig } from '../config/types.js';
import { PenstockError } from '../errors.js';

/** A certificate with its chain, and its key: text in PEM form. */
export interface CertificatePair {
  certificate: string;
  key: string;
}

export interface VserverMaterial {
  /** The first is the one for clients that name no host. */
  certificates: CertificatePair[];
  /** Authorities of client certificates. */
  clientCa?: string;
}

/** What the files of the configuration hold: the primary reads them, and gives workers the text. */
export interface TlsMaterial {
  /** By the name of the vserver. */
  vservers: Record<string, VserverMaterial>;
  /** Authorities of the certificate of a service, by its name. */
  services: Record<string, string>;
}

const PEM_CERTIFICATE = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs;

/** Reads and checks every file. Throws PENSTOCK_ERR_CERTIFICATE, which names the file and the reason. */
export function readTlsMaterial(config: Pick<ConfigSpec, 'vservers'>): TlsMaterial {
  const material: TlsMaterial = { vservers: {}, services: {} };
  for (const { name, tls, services } of config.vservers) {
    if (tls) material.vservers[name] = readVserver(tls);
    for (const service of services) {
      if (service.tls?.ca !== undefined) material.services[service.name] = readAuthorities(service.tls.ca);
    }
  }
  return material;
}

/** All files that the configuration names. */
export function tlsFiles(config: Pick<ConfigSpec, 'vservers'>): string[] {
  const files = config.vservers.flatMap(({ tls, services }) => [
    ...(tls?.certificates ?? []).flatMap(({ certificate, key }) => [certificate, key]),
    tls?.clientCa,
    ...services.map((service) => service.tls?.ca),
  ]);
  return [...new Set(files.filter((file) => file !== undefined))];
}

/** Certificates of PEM text in their order. */
export function certificatesIn(pem: string): X509Certificate[] {
  return [...pem.matchAll(PEM_CERTIFICATE)].map(([text]) => new X509Certificate(text));
}

function readVserver({ certificates, clientCa }: TlsConfig): VserverMaterial {
  return {
    certificates: certificates.map(readPair),
    ...(clientCa === undefined ? {} : { clientCa: readAuthorities(clientCa) }),
  };
}

function readPair(files: CertificateFiles): CertificatePair {
  const pair = { certificate: readText(files.certificate), key: readText(files.key) };
  return checked(files.certificate, () => {
    const [leaf] = certificatesIn(pair.certificate);
    if (!leaf) throw new Error('it holds no certificate in PEM form');
    const key = checked(files.key, () => createPrivateKey(pair.key));
    if (!leaf.checkPrivateKey(key)) throw new Error(`the key in ${files.key} belongs to another certificate`);
    createSecureContext({ cert: pair.certificate, key: pair.key });
    return pair;
  });
}

function readAuthorities(file: string): string {
  const text = readText(file);
  return checked(file, () => {
    if (certificatesIn(text).length === 0) throw new Error('it holds no certificate in PEM form');
    return text;
  });
}

function readText(file: string): string {
  return checked(file, () => readFileSync(file, 'utf8'));
}

function checked<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof PenstockError) throw error;
    throw new PenstockError('PENSTOCK_ERR_CERTIFICATE', `${file}: ${(error as Error).message}`, { cause: error });
  }
}
