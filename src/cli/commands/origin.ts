import { type Command, InvalidArgumentError } from 'commander';
import { parseListen, ValueError } from '../../config/addresses.js';
import type { ListenAddress } from '../../config/types.js';
import { createLogger } from '../../log/logger.js';
import { type OriginOptions, startOrigin } from '../../origin/origin.js';
import type { Context } from '../context.js';

const DEFAULT_LISTEN = '127.0.0.1:8555';
const MAX_COUNT = 100_000;

interface Given {
  listen: ListenAddress;
  file?: string;
  count?: number;
  name?: string;
  sharedPorts?: true;
}

export function addOrigin(program: Command, context: Context): void {
  program
    .command('origin')
    .summary('an RTSP server to try things with')
    .description('Runs the embedded RTSP origin alone until it gets SIGTERM or SIGINT. Not a server for production.')
    .option(
      '--listen <ADDR:PORT>',
      `Where it listens; port 0 lets the kernel choose. (default: ${DEFAULT_LISTEN})`,
      readListen,
    )
    .option('--file <PATH>', 'Any media file that ffmpeg reads, in place of the bundled clip.')
    .option('--count <N>', 'Mounts /1 to /N only; without it every path plays.', readCount)
    .option('--name <NAME>', 'Tells origins apart in Server: and in the title of the SDP.')
    .option('--shared-ports', 'One server_port pair for all sessions, as some servers have it.')
    .action((given: Given) => runOrigin(context, given));
}

async function runOrigin(context: Context, given: Given): Promise<void> {
  const { address, port } = given.listen ?? parseListen(DEFAULT_LISTEN);
  const log = createLogger({ level: 'info', process: 'origin' });
  const options: OriginOptions = {
    host: address,
    port,
    log,
    ...(given.file === undefined ? {} : { file: given.file }),
    ...(given.count === undefined ? {} : { count: given.count }),
    ...(given.name === undefined ? {} : { name: given.name }),
    ...(given.sharedPorts === undefined ? {} : { sharedPorts: true }),
  };
  const origin = await startOrigin(options);
  log.info({ listen: [origin.url] }, 'ready');
  context.out(`${origin.url}/${given.count === undefined ? 'clip' : '1'}`);
  await endSignal();
  await origin.close();
}

function endSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
}

function readListen(text: string): ListenAddress {
  try {
    const { tls, ...listen } = parseListen(text);
    if (tls) throw new ValueError('the origin speaks no TLS');
    return listen;
  } catch (error) {
    if (error instanceof ValueError) throw new InvalidArgumentError(`Expected ADDR:PORT; ${error.message}.`);
    throw error;
  }
}

function readCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > MAX_COUNT) {
    throw new InvalidArgumentError(`Expected a whole number from 1 to ${MAX_COUNT}.`);
  }
  return count;
}
