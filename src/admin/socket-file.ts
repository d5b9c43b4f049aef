import { lstatSync, mkdirSync, unlinkSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { PenstockError } from '../errors.js';

const SOCKET_NAME = 'admin.sock';
/** sun_path holds 108 bytes with the closing zero. */
const MAX_SOCKET_PATH = 107;
const STATE_DIR_MODE = 0o700;

export function adminSocketPath(stateDir: string): string {
  return join(stateDir, SOCKET_NAME);
}

/**
 * Makes the state directory and clears the socket file of an appliance that died. Throws
 * PENSTOCK_ERR_STATE_DIR if the directory cannot be used or if another appliance answers there.
 */
export async function claimSocketPath(path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_SOCKET_PATH) {
    throw new PenstockError(
      'PENSTOCK_ERR_STATE_DIR',
      `${path}: longer than the ${MAX_SOCKET_PATH} bytes of a socket path`,
    );
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: STATE_DIR_MODE });
  } catch (error) {
    throw new PenstockError('PENSTOCK_ERR_STATE_DIR', (error as Error).message, { cause: error });
  }
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new PenstockError('PENSTOCK_ERR_STATE_DIR', `${path}: is there and is not a socket`);
  const answer = await knock(path);
  if (answer === 'answered') {
    throw new PenstockError('PENSTOCK_ERR_STATE_DIR', `${dirname(path)}: another penstock uses this state directory`);
  }
  if (answer !== 'ECONNREFUSED') throw new PenstockError('PENSTOCK_ERR_STATE_DIR', `${path}: ${answer}`);
  unlinkSync(path);
}

/** `answered`, or the error code of the attempt to connect. */
function knock(path: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve('answered');
    });
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'unknown'));
  });
}
