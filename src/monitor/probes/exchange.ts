import type { Socket } from 'node:net';
import type { RtspRequest, RtspResponse } from '../../rtsp/message.js';
import { RtspParser } from '../../rtsp/parser.js';
import { serialize } from '../../rtsp/serializer.js';
import type { ProbeTarget } from './probe.js';
import { openSocket } from './socket.js';

/**
 * Sends one request on a connection of its own and gives the first final response, complete with its body. CSeq is not
 * compared: some servers leave it out of error answers (VLC), and there is only one request to answer.
 */
export async function exchange(target: ProbeTarget, request: RtspRequest, signal: AbortSignal): Promise<RtspResponse> {
  const socket = await openSocket(target, signal);
  try {
    signal.throwIfAborted();
    return await answerOn(socket, serialize(request));
  } finally {
    socket.destroy();
  }
}

function answerOn(socket: Socket, request: Buffer): Promise<RtspResponse> {
  return new Promise((resolve, reject) => {
    const parser = new RtspParser({
      onMessage: (message) => {
        if (message.kind === 'response' && message.status >= 200) resolve(message);
      },
      onFrame: () => {},
    });
    socket.on('data', (chunk) => {
      try {
        parser.push(chunk);
      } catch (error) {
        reject(error);
        socket.destroy();
      }
    });
    socket.once('error', reject);
    socket.once('end', () => socket.destroy());
    socket.once('close', () => reject(new Error('the connection closed without a complete RTSP answer')));
    socket.write(request);
  });
}
