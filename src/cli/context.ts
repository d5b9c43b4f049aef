import type { Config } from '../config/types.js';
import type { Terminal } from './terminal.js';

/** What the addon says about this machine: `ok` or the reason why not. */
export interface Probe {
  gso: string;
  gro: string;
  /** The program that relays in the kernel was loaded, and there is something to attach it to. */
  offload: string;
  sealedMemfd: string;
  /** Bytes. */
  rmemMax: number;
  fileLimit: { soft: number; hard: number };
  /** Of this process; null where the kernel does not tell. */
  capabilities: { netBindService: boolean; netAdmin: boolean; bpf: boolean } | null;
}

/** What the command line needs from the rest; main.ts gives the real ones, tests give fakes. */
export interface Hooks {
  /** Runs an appliance to its end. */
  serve(config: Config, hooks: { onReady?(): void; replaceable?: boolean; reread?(): Promise<Config> }): Promise<void>;
  /** Throws PENSTOCK_ERR_ADDON if the addon cannot be loaded. */
  probe(): Promise<Probe>;
}

export interface Context {
  hooks: Hooks;
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  out(text: string): void;
  error(text: string): void;
  /** Columns of help texts; 80 if not known. */
  width?: number | undefined;
  /** Where standard input and output are one. */
  terminal?(): Terminal | undefined;
  /** Set by a command that ends without an error and yet not well. */
  exitCode: number;
}
