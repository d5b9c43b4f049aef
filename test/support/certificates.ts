import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { CertificatePair } from '../../src/tls/material.js';

/**
 * Certificates of certificates/make.sh: `edge` is the appliance, `other` another name of it, `camera` a server, `viewer` a
 * client; `ca` signed them. Nobody signed `stranger`, who calls himself edge and camera.
 */
export type CertificateName = 'edge' | 'other' | 'camera' | 'viewer' | 'stranger';

export const certificateFile = (file: string): string =>
  fileURLToPath(new URL(`./certificates/${file}`, import.meta.url));

export const CA = readFileSync(certificateFile('ca.pem'), 'utf8');

export function certificateOf(name: CertificateName): CertificatePair {
  const [certificate = '', key = ''] = ['pem', 'key'].map((part) => {
    return readFileSync(certificateFile(`${name}.${part}`), 'utf8');
  });
  return { certificate, key };
}
