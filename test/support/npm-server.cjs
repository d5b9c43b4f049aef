// rtsp-streaming-server for tests: npm-server.cjs FOLDER PLAY_PORT PUBLISH_PORT, FOLDER being where it is installed.
// Writes `ready` when it listens and `published` when a stream can be played.
const { createRequire } = require('node:module');
const { join } = require('node:path');

const [folder, clientPort, serverPort] = process.argv.slice(2);
const RtspServer = createRequire(join(folder, 'package.json'))('rtsp-streaming-server').default;
const ports = { clientPort: Number(clientPort), serverPort: Number(serverPort) };
const server = new RtspServer({ ...ports, rtpPortStart: 10000, rtpPortCount: 1000 });

server.start().then(() => {
  console.log('ready');
  const timer = setInterval(() => {
    const [mount] = Object.values(server.Mounts.mounts);
    const streams = Object.values(mount?.streams ?? {});
    if (streams.length < 2 || !streams.every((stream) => stream.listenerRtp)) return;
    console.log('published');
    clearInterval(timer);
  }, 50);
});
