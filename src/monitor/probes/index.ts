import type { MonitorConfig } from '../../config/types.js';
import { describeProbe } from './describe.js';
import { optionsProbe } from './options.js';
import type { Probe, ProbeTarget } from './probe.js';
import { tcpProbe } from './tcp.js';

export type { Probe, ProbeTarget } from './probe.js';

/** The check that the configuration asks for. */
export function createProbe(config: Pick<MonitorConfig, 'kind' | 'path' | 'expect'>, target: ProbeTarget): Probe {
  switch (config.kind) {
    case 'tcp':
      return tcpProbe(target);
    case 'options':
      return optionsProbe(target, config.path);
    case 'describe':
      return describeProbe(target, config.path, config.expect);
    case 'none':
      // Not looked at: taken as up, and tried again some time after it fell by failing clients.
      return async () => 'not checked';
  }
}
