/** One line of the table: what came of a peer with another one, without and with penstock between them. */
export interface Outcome {
  peer: string;
  with: string;
  transport: string;
  direct: string;
  through: string;
}

const HEAD = `# Interoperability

Written by the test run (\`npm test -- test/e2e/interop\`, with \`-u\` in vitest to renew it), which fails where an outcome
differs from this page. The peers are those of Debian 12, real programs in network namespaces of their own: ffmpeg 5.1,
GStreamer 1.22 (\`rtspsrc\`, \`rtspclientsink\`, gst-rtsp-server), mpv 0.35, mplayer 1.5, VLC 3.0; and rtsp-streaming-server
2.1 of npm. Each is asked for some seconds of H.264 and AAC, at the same time directly and through penstock. With RTSPS and
HTTP in TLS both sides of penstock are TLS; a tunnel over HTTP ends at penstock, which speaks RTSP to the server.

*plays*: every video frame arrived. *plays from a key frame on*: the source is live, so a player begins within a group of
pictures; as many frames as directly, give or take one group. *recorded*: every video frame reached the server.
*plays and is heard*: media went both ways. A number is the RTSP status by which the peer was refused.
`;

export class InteropPage {
  readonly #outcomes: Outcome[] = [];

  add(outcome: Outcome): void {
    this.#outcomes.push(outcome);
  }

  text(): string {
    const lines = this.#outcomes.map((each) => line(each.peer, each.with, each.transport, each.direct, each.through));
    return [
      HEAD,
      line('peer', 'with', 'transport', 'directly', 'through penstock'),
      line(...dashes),
      ...lines,
      '',
    ].join('\n');
  }
}

const dashes = ['---', '---', '---', '---', '---'] as const;

function line(...cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
