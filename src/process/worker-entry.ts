import { PenstockError } from '../errors.js';
import { leaveSignalsToPrimary, readInheritance, sendToPrimary, type ToWorker, type WorkerInheritance } from './ipc.js';
import { WorkerProcess } from './worker.js';

let worker: WorkerProcess | undefined;

async function start(message: Extract<ToWorker, { type: 'init' }>): Promise<void> {
  try {
    const { config, places, tls } = message;
    worker = new WorkerProcess(config, places, tls, readInheritance<WorkerInheritance>('PENSTOCK_WORKER'));
    await worker.start();
  } catch (error) {
    const code = error instanceof PenstockError ? error.code : 'PENSTOCK_ERR_BIND';
    sendToPrimary({ type: 'failed', code, message: (error as Error).stack ?? String(error) });
    process.exitCode = 1;
    process.disconnect();
  }
}

leaveSignalsToPrimary();
process.on('message', (message: ToWorker, handle: unknown) => {
  if (message.type === 'init') void start(message);
  else worker?.receive(message, handle);
});
// A message to a cluster worker that does not listen yet would be lost: ask for the first one.
sendToPrimary({ type: 'hello' });
