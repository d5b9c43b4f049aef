import type { Config } from '../config/types.js';
import { loadBinding } from '../engine/binding.js';
import { ProcessSlot } from '../engine/process-slots.js';
import { ENGINE_SLOT, SharedRegion } from '../engine/shared-region.js';
import { createLogger, type Logger } from '../log/logger.js';
import { type EngineInheritance, leaveSignalsToPrimary, readInheritance, sendToPrimary, type ToEngine } from './ipc.js';

const HEARTBEAT_MS = 250;

/** The engine process: its JavaScript only starts, stops and reports. */
function run(config: Config): Logger {
  const log = createLogger({ level: config.logLevel, process: 'engine' });
  const binding = loadBinding();
  binding.raiseFileLimit();
  const inherited = readInheritance<EngineInheritance>('PENSTOCK_ENGINE');
  const region = new SharedRegion(binding.mapRegion(inherited.regionFd), binding.layout);
  const slot = new ProcessSlot(region, ENGINE_SLOT);
  const fast = config.packetPath !== 'mmsg';
  const report = binding.engineStart({
    vaultFd: inherited.vaultFd,
    wakeFds: inherited.wakeFds,
    workerWakeFds: inherited.workerWakeFds,
    gso: fast,
    gro: fast,
    batchDelayUs: config.batchDelayUs,
    pinThreads: config.pinThreads,
    offload: inherited.offload,
  });
  for (const reason of report.reasons) log.warn({ reason }, 'a fast path is not available');
  log.info(
    { offload: report.offload, gso: report.gso, gro: report.gro, threads: inherited.wakeFds.length },
    'engine started',
  );
  slot.setState('ready');
  setInterval(() => slot.beat(), HEARTBEAT_MS);
  sendToPrimary({ type: 'ready' });
  return log;
}

leaveSignalsToPrimary();
process.on('disconnect', () => process.exit(0));
let log: Logger | undefined;
process.on('message', (message: ToEngine) => {
  switch (message.type) {
    case 'init':
      log = run(message.config);
      break;
    case 'reload':
      if (log) log.level = message.config.logLevel;
      break;
    case 'finish':
      loadBinding().engineStop();
      process.exit(0);
  }
});
