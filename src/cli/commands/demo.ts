import type { Command } from 'commander';
import { formatAddress } from '../../config/addresses.js';
import type { OptionKey } from '../../config/schema.js';
import type { Config } from '../../config/types.js';
import { type Origin, startOrigin } from '../../origin/origin.js';
import type { Context } from '../context.js';
import { ALL_OPTIONS, addOptions, givenFlags } from '../flags.js';
import { readConfig } from './serve.js';

const HOST = '127.0.0.1';
const ORIGINS = ['one', 'two'];
/** What differs from `serve`: everything stays on this machine, and Ctrl-C ends soon. */
const DEMO_DEFAULTS = { listen: `${HOST}:8554`, workers: '2', 'drain-timeout': '1' };
/** The farm is the demo's own. */
const NOT_FOR_DEMO: readonly OptionKey[] = ['config', 'server'];

export function addDemo(program: Command, context: Context): void {
  const command = program
    .command('demo')
    .summary('two embedded origins and an appliance to try')
    .description(
      `Starts two RTSP origins that loop a bundled clip, and an appliance on ${HOST}:8554 in front of ` +
        'them, and prints what to open. Takes the flags of serve that make sense here.',
    );
  const keys = ALL_OPTIONS.filter((key) => !NOT_FOR_DEMO.includes(key));
  addOptions(command, keys, DEMO_DEFAULTS).action((given: Record<string, unknown>) =>
    runDemo(context, givenFlags(given)),
  );
}

async function runDemo(context: Context, flags: Record<string, unknown>): Promise<void> {
  const origins: Origin[] = [];
  try {
    for (const name of ORIGINS) origins.push(await startOrigin({ name, host: HOST, port: 0 }));
    const server = origins.map(({ name, address }) => `${formatAddress(address.host, address.port)}?name=${name}`);
    // A flag that was given wins over the demo's default, and that over the environment.
    const config = await readConfig(context, { ...DEMO_DEFAULTS, ...flags, server });
    await context.hooks.serve(config, {
      replaceable: false,
      onReady: () => context.out(whatToTry(config, flags)),
    });
  } finally {
    await Promise.all(origins.map((origin) => origin.close()));
  }
}

function whatToTry(config: Config, flags: Record<string, unknown>): string {
  const where = flags['state-dir'] === undefined ? '' : ` --state-dir ${config.stateDir}`;
  const listen = config.vservers[0]?.listen[0];
  const url = `rtsp://${formatAddress(listen?.address ?? HOST, listen?.port ?? 0)}/clip`;
  return `
penstock relays ${config.vservers[0]?.services.map((service) => `${service.name} (${service.host}:${service.port})`).join(' and ')}.

Open            ${url}
  ffplay ${url}
  ffplay -rtsp_transport tcp ${url}
  mpv ${url}
  gst-launch-1.0 playbin3 uri=${url}
  vlc ${url}        (Debian's VLC is built without RTSP: it cannot)

Then, in another terminal
  npx penstock show session${where}
  npx penstock show service${where}
  npx penstock drain one${where}

Ctrl-C ends it.
`;
}
