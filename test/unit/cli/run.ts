import type { Context, Probe } from '../../../src/cli/context.js';
import { runCli } from '../../../src/cli/program.js';
import type { Config } from '../../../src/config/types.js';
import { PenstockError } from '../../../src/errors.js';

export const goodProbe: Probe = {
  gso: 'ok',
  gro: 'ok',
  offload: 'ok',
  sealedMemfd: 'ok',
  rmemMax: 64 * 1024 * 1024,
  fileLimit: { soft: 1024, hard: 4_000_000 },
  capabilities: { netBindService: true, netAdmin: true, bpf: true },
};

export interface Result {
  code: number;
  out: string;
  err: string;
  /** What `serve` was called with. */
  served: Config[];
}

/** Runs a command line inside this process. */
export async function run(
  args: string[],
  overrides: Partial<Context> & { probe?: Probe | 'missing' } = {},
): Promise<Result> {
  const result: Result = { code: 0, out: '', err: '', served: [] };
  const context: Context = {
    hooks: {
      serve: async (config, hooks) => {
        result.served.push(config);
        hooks.onReady?.();
      },
      probe: async () => {
        const probe = overrides.probe ?? goodProbe;
        if (probe === 'missing') throw new PenstockError('PENSTOCK_ERR_ADDON', 'it is not built');
        return probe;
      },
    },
    env: {},
    cwd: process.cwd(),
    out: (text) => {
      result.out += `${text}\n`;
    },
    error: (text) => {
      result.err += `${text}\n`;
    },
    exitCode: 0,
    ...overrides,
  };
  result.code = await runCli(args, context);
  return result;
}
