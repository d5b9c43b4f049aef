/** Messages as real servers and players write them, with what has to be rewritten in them. */

const lines = (...text: string[]): string => `${text.join('\r\n')}\r\n`;
const message = (head: string, body = ''): Buffer => Buffer.from(`${head}\r\n${body}`, 'latin1');

const SDP = lines(
  'v=0',
  'o=- 1188340656180883 1 IN IP4 10.77.2.2',
  's=Session streamed with GStreamer',
  'i=rtsp-server',
  'c=IN IP4 10.77.2.2',
  't=0 0',
  'a=tool:GStreamer',
  'a=type:broadcast',
  'a=control:rtsp://10.77.2.2:8554/cam7/',
  'a=range:npt=now-',
  'm=video 0 RTP/AVP 96',
  'b=AS:4000',
  'a=rtpmap:96 H264/90000',
  'a=framerate:25',
  'a=fmtp:96 packetization-mode=1;profile-level-id=42c01e;sprop-parameter-sets=Z0LAHtoCgL/lwFqAgICgAAADACAAAAZR4sXU,aM48gA==',
  'a=control:rtsp://10.77.2.2:8554/cam7/stream=0',
  'm=audio 0 RTP/AVP 97',
  'b=AS:96',
  'a=rtpmap:97 MPEG4-GENERIC/48000',
  'a=fmtp:97 streamtype=5;profile-level-id=1;mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1188',
  'a=control:rtsp://10.77.2.2:8554/cam7/stream=1',
);

export const DESCRIBE_REPLY = message(
  lines(
    'RTSP/1.0 200 OK',
    'CSeq: 2',
    'Content-Type: application/sdp',
    'Content-Base: rtsp://10.77.2.2:8554/cam7/',
    'Server: GStreamer RTSP server',
    'Date: Mon, 02 Mar 2026 10:00:00 GMT',
    `Content-Length: ${SDP.length}`,
  ),
  SDP,
);

export const SETUP_REQUEST = message(
  lines(
    'SETUP rtsp://10.77.1.1:8554/cam7/stream=0 RTSP/1.0',
    'CSeq: 3',
    'User-Agent: Lavf59.27.100',
    'Transport: RTP/AVP/UDP;unicast;client_port=16320-16321',
  ),
);

export const SETUP_REPLY = message(
  lines(
    'RTSP/1.0 200 OK',
    'CSeq: 3',
    'Transport: RTP/AVP;unicast;client_port=20000-20001;server_port=49152-49153;ssrc=6A4B1C2D;mode="PLAY"',
    'Server: GStreamer RTSP server',
    'Session: L9F2t3UcU+eUgQ6D;timeout=60',
    'Date: Mon, 02 Mar 2026 10:00:00 GMT',
  ),
);

export const PLAY_REPLY = message(
  lines(
    'RTSP/1.0 200 OK',
    'CSeq: 5',
    'RTP-Info: url=rtsp://10.77.2.2:8554/cam7/stream=0;seq=29612;rtptime=2694510498, url=rtsp://10.77.2.2:8554/cam7/stream=1;seq=10372;rtptime=1107283764',
    'Range: npt=now-',
    'Server: GStreamer RTSP server',
    'Session: L9F2t3UcU+eUgQ6D;timeout=60',
    'Date: Mon, 02 Mar 2026 10:00:00 GMT',
  ),
);
