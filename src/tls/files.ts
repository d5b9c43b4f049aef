import { statSync } from 'node:fs';
import type { Config } from '../config/types.js';
import type { Logger } from '../log/logger.js';
import { certificatesIn, readTlsMaterial, type TlsMaterial, tlsFiles } from './material.js';

/** How often the files are looked at. A change must be the same at two looks: a pair is not replaced in one step. */
const LOOK_MS = 5_000;
const DAY_MS = 86_400_000;
/** A certificate that ends sooner deserves a line in the log. */
const EXPIRES_SOON_MS = 14 * DAY_MS;

/** Keeps what the certificate files hold up to date. What cannot be used changes nothing. */
export class TlsFiles {
  readonly #config: Pick<Config, 'vservers'>;
  readonly #log: Logger;
  readonly #onChange: (material: TlsMaterial) => void;
  #files: string[];
  #material: TlsMaterial;
  /** How the files looked when they were read last, and at the last look. */
  #read: string;
  #seen: string;
  #timer: NodeJS.Timeout | undefined;

  /** Reads all. Throws PENSTOCK_ERR_CERTIFICATE. */
  constructor(config: Pick<Config, 'vservers'>, log: Logger, onChange: (material: TlsMaterial) => void) {
    this.#config = config;
    this.#log = log;
    this.#onChange = onChange;
    this.#files = tlsFiles(config);
    this.#read = this.#seen = fingerprint(this.#files);
    this.#material = readTlsMaterial(config);
    this.#warnOfDates();
  }

  /** The newest that can be used. */
  get material(): TlsMaterial {
    return this.#material;
  }

  start(): void {
    this.#timer = setInterval(() => this.look(), LOOK_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Reads the files again if they changed and have come to rest. */
  look(): void {
    const before = this.#seen;
    this.#seen = fingerprint(this.#files);
    if (this.#seen !== this.#read && this.#seen === before) this.reload();
  }

  /** The configuration names other files, and this is what they hold. */
  replace(material: TlsMaterial): void {
    this.#files = tlsFiles(this.#config);
    this.#read = this.#seen = fingerprint(this.#files);
    this.#material = material;
    this.#warnOfDates();
  }

  /** Reads the files again now. */
  reload(): void {
    this.#read = this.#seen = fingerprint(this.#files);
    try {
      this.#material = readTlsMaterial(this.#config);
    } catch (error) {
      this.#log.error({ err: error }, 'certificates cannot be read again: the former ones stay in use');
      return;
    }
    this.#log.info({ files: this.#files.length }, 'certificates read again');
    this.#warnOfDates();
    this.#onChange(this.#material);
  }

  #warnOfDates(): void {
    for (const [vserver, { certificates }] of Object.entries(this.#material.vservers)) {
      for (const { certificate } of certificates) {
        const [leaf] = certificatesIn(certificate);
        if (!leaf || Date.parse(leaf.validTo) - Date.now() > EXPIRES_SOON_MS) continue;
        this.#log.warn(
          { vserver, subject: leaf.subject, validTo: leaf.validTo },
          'a certificate ends soon, or has ended',
        );
      }
    }
  }
}

/** Changes with every one of the files; follows links, by which whole folders are exchanged. */
function fingerprint(files: readonly string[]): string {
  return files
    .map((file) => {
      const stat = statSync(file, { throwIfNoEntry: false });
      return stat ? `${stat.ino}:${stat.size}:${stat.mtimeMs}` : 'absent';
    })
    .join(' ');
}
