import type { OriginLog } from './log.js';
import { type Origin, startOrigin } from './origin.js';

const HOST = '127.0.0.1';
const NAMES = ['left', 'right'];
const EXAMPLE_MOUNT = 'live';

export interface DemoOrigins {
  origins: Origin[];
  /** `host:port` of each, as `--server` takes them. */
  servers: string[];
  close(): Promise<void>;
}

/** Two origins on free ports of this machine, both playing the bundled clip on every path. */
export async function startDemoOrigins(log?: OriginLog): Promise<DemoOrigins> {
  const options = { host: HOST, port: 0, ...(log && { log }) };
  const origins = await Promise.all(NAMES.map((name) => startOrigin({ ...options, name })));
  return {
    origins,
    servers: origins.map((origin) => `${origin.address.host}:${origin.address.port}`),
    close: async () => {
      await Promise.all(origins.map((origin) => origin.close()));
    },
  };
}

/** What `penstock demo` prints once it is ready. `listen` is the appliance's URL without a path. */
export function renderDemo(listen: string, origins: readonly Pick<Origin, 'name' | 'url'>[]): string {
  const url = `${listen}/${EXAMPLE_MOUNT}`;
  return `
  penstock listens on   ${listen}
${origins.map((origin) => `  and balances over     ${origin.url}   (origin "${origin.name}")`).join('\n')}

  Play a stream through it (any path works):
    ffplay -rtsp_transport udp ${url}
    ffplay -rtsp_transport tcp ${url}
    mpv --rtsp-transport=udp ${url}
    gst-launch-1.0 playbin uri=${url}
    VLC: Media > Open Network Stream > ${url}

  Which origin serves it?
    ffprobe -v error -show_entries format_tags=title ${url}

  No screen here? Count what arrives for 5 seconds:
    ffmpeg -v error -stats -rtsp_transport udp -t 5 -i ${url} -f null -

  While it plays, in another terminal:
    npx penstock show session        every session, its server and its packets
    npx penstock show service        the two origins: state, sessions, weight
    npx penstock show process        workers and engine, with their process ids
    kill -9 PID                      any worker, or the engine: the stream goes on

  Publish to it:
    ffmpeg -re -f lavfi -i testsrc2 -c:v libx264 -f rtsp ${listen}/published

  Ctrl-C ends the demo. Your own servers:
    npx penstock serve --listen :8554 --server HOST:PORT --server HOST:PORT
`;
}
