import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { findCommand, run, SetupError, say } from './run.mjs';

// GStreamer elements the tests use; h264parse is in "bad", the rest in "base" and "good".
const GST_ELEMENTS = [
  'rtspsrc',
  'rtspclientsink',
  'rtph264pay',
  'rtph264depay',
  'rtpmp4gpay',
  'rtpmp4gdepay',
  'qtdemux',
  'aacparse',
  'h264parse',
  'mulawenc',
  'rtppcmupay',
  'rtppcmudepay',
];
const GST_CHECK = `
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
missing = [name for name in "${GST_ELEMENTS.join(' ')}".split() if not Gst.ElementFactory.find(name)]
raise SystemExit(bool(missing))
`;

const commands =
  (...names) =>
  () =>
    names.every(findCommand);

function gstreamerWorks() {
  return spawnSync('/usr/bin/python3', ['-c', GST_CHECK], { stdio: 'ignore' }).status === 0;
}

function nginxStreams() {
  return Boolean(findCommand('nginx')) && existsSync('/usr/lib/nginx/modules/ngx_stream_module.so');
}

/** What builds the addon: cmake-js needs cmake, node-gyp python3; either needs make and a compiler. */
export const BUILD_TOOLS = [
  { packages: ['g++'], works: commands('g++') },
  { packages: ['make'], works: commands('make') },
  { packages: ['cmake'], works: () => Boolean(findCommand('cmake') ?? findCommand('python3')) },
];

/** Real RTSP servers and players, and what puts them into a network of their own. */
export const TEST_PEERS = [
  { packages: ['cmake'], works: commands('cmake') }, // for the C++ tests
  { packages: ['iproute2'], works: commands('ip', 'ss') },
  { packages: ['procps'], works: commands('sysctl', 'pgrep') },
  { packages: ['util-linux'], works: commands('runuser') },
  { packages: ['systemd'], works: commands('systemd-analyze') }, // its checks of our unit; nothing is run by it
  { packages: ['tcpdump'], works: commands('tcpdump') },
  { packages: ['ethtool'], works: commands('ethtool') },
  { packages: ['nftables'], works: commands('nft') },
  { packages: ['haproxy'], works: commands('haproxy') },
  { packages: ['nginx-light', 'libnginx-mod-stream'], works: nginxStreams },
  { packages: ['ffmpeg'], works: commands('ffmpeg', 'ffprobe') },
  { packages: ['mpv'], works: commands('mpv') },
  { packages: ['mplayer'], works: commands('mplayer') },
  { packages: ['vlc-bin', 'vlc-plugin-base'], works: commands('cvlc') },
  {
    packages: [
      'gstreamer1.0-tools',
      'gstreamer1.0-rtsp',
      'gstreamer1.0-plugins-base',
      'gstreamer1.0-plugins-good',
      'gstreamer1.0-plugins-bad',
      'gir1.2-gst-rtsp-server-1.0',
      'python3',
      'python3-gi',
    ],
    works: gstreamerWorks,
  },
];

/** Those that only npm has, with their versions. */
export const NPM_PEERS = { 'rtsp-streaming-server': '2.1.0' };

/**
 * Sees that each entry works. As root on Debian the missing packages are installed;
 * otherwise the error names the command to type. `purpose` completes "… is needed".
 */
export function ensurePackages(entries, purpose) {
  const missing = entries.filter(({ works }) => !works());
  if (missing.length === 0) return;
  const packages = missing.flatMap((entry) => entry.packages);
  const install = ['apt-get', 'install', '-y', '--no-install-recommends', ...packages];
  const typed = `apt-get update && sudo ${install.join(' ')}`;
  if (process.getuid() !== 0 || !findCommand('apt-get')) {
    throw new SetupError(`${purpose}: ${packages.join(', ')} is missing. Type:\n\n  sudo ${typed}\n`);
  }
  say(`${purpose}: installing ${packages.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  run('apt-get', ['-q', 'update'], { env });
  run('apt-get', install.slice(1), { env });
  const still = missing.filter(({ works }) => !works());
  if (still.length > 0) {
    const names = still.flatMap((entry) => entry.packages).join(', ');
    throw new SetupError(`${purpose}: ${names} was installed but does not work`);
  }
}
