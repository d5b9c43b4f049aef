import type { Duplex } from 'node:stream';

/**
 * Reads until `judge` can tell what it wants to know of what came, and puts the bytes back that it did not take. `judge`
 * returns undefined where it needs more. Rejects when the stream ends, breaks or closes before.
 */
export function firstBytes<T>(
  stream: Duplex,
  judge: (bytes: Buffer) => { value: T; taken: number } | undefined,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let bytes: Buffer = Buffer.alloc(0);
    const finish = (settle: () => void) => {
      stream.off('readable', onReadable).off('end', onEnd).off('close', onEnd).off('error', onError);
      settle();
    };
    const onReadable = () => {
      const chunk = stream.read() as Buffer | null;
      if (chunk === null) return;
      bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk]);
      try {
        const judged = judge(bytes);
        if (!judged) return;
        if (judged.taken < bytes.length) stream.unshift(bytes.subarray(judged.taken));
        finish(() => resolve(judged.value));
      } catch (error) {
        finish(() => reject(error));
      }
    };
    const onEnd = () => finish(() => reject(new Error('the connection ended')));
    const onError = (error: Error) => finish(() => reject(error));
    stream.on('readable', onReadable).on('end', onEnd).on('close', onEnd).on('error', onError);
    onReadable();
  });
}
