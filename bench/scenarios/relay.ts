import { direct, mostStreams, penstock, type Relay } from '../lib/relay.js';
import type { Context, Scenario, Values } from '../lib/scenario.js';
import { rotate } from '../lib/statistics.js';
import { dgram } from '../rivals/dgram.js';
import { nft } from '../rivals/nft.js';
import { nginxUdp } from '../rivals/nginx.js';
import { rtpengine } from '../rivals/rtpengine.js';
import { isPaced, MANY, type RelayCase, type RelayCases, relayCases } from './relay-cases.js';
import { type Measured, measure, measureDropped, withRelay } from './relay-measure.js';
import { delivery, ratios, relayed } from './relay-values.js';

const OFFLOAD = penstock('offload', 'offload');
const GSO = penstock('gso', 'gso');
const EAGER = penstock('gso, delay 0', 'gso', ['--batch-delay', '0']);
const PRODUCTS = [OFFLOAD, GSO, EAGER, penstock('mmsg', 'mmsg')];
const RIVALS = [rtpengine, nginxUdp, dgram, nft];
/** Named so that nobody looks for it in vain. */
const NOT_PACKAGED = { name: 'rtpproxy', why: 'not installed: Debian 12 has no package of it' };
const RELAYS = [direct, ...PRODUCTS, ...RIVALS];
/** With more of them, packets that wait for each other are the point. */
const MOST_EAGER_STREAMS = 100;

export const relay: Scenario = {
  name: 'relay',
  about:
    'Sessions set up through RTSP, of 8 streams each where there are more than 100 (rivals: by their own means), then ' +
    'RTP from the servers to the clients: "frames" are 42 packets of a stream back to back, "singly" is one packet of ' +
    'each stream in turn, "merged" frames arrive as one buffer, as after GRO. All relays have one core, the generator ' +
    'has the other. A: CPU of all processes of the relay per packet that came out. B: what the relay adds to the whole ' +
    'machine (all processes and softirq, less the same traffic dropped when it reaches the appliance). Delays are one ' +
    "way, from the send call to the arrival at the client's interface, where a BPF program counts and drops; added: " +
    'less what it takes without a relay (routed by the kernel). Jitter: mean change of the delay from packet to packet ' +
    "of a stream. Ratios below 1: the product takes less. rtpengine has the kernel's standard receive buffers, and " +
    'drops what waits behind 50 packets of a port; all others have 4 MB.',
  columns: [
    { key: 'gsoRatio', title: 'penstock gso / this, A', digits: 2, better: 'lower' },
    { key: 'offloadRatio', title: 'penstock offload / this, B', digits: 2, better: 'lower' },
    { key: 'aUs', title: 'A µs/packet', digits: 2, better: 'lower' },
    { key: 'bUs', title: 'B µs/packet', digits: 2, better: 'lower' },
    { key: 'lossPercent', title: 'loss %', digits: 3, better: 'lower' },
    { key: 'kpps', title: 'kpps out', digits: 1, better: 'higher' },
    { key: 'p50Us', title: 'delay p50 µs', digits: 1, better: 'lower' },
    { key: 'addedP50Us', title: 'added p50 µs', digits: 1, better: 'lower' },
    { key: 'addedP99Us', title: 'added p99 µs', digits: 0, better: 'lower' },
    { key: 'maxUs', title: 'max µs', digits: 0, better: 'lower' },
    { key: 'addedJitterUs', title: 'added jitter µs', digits: 1, better: 'lower' },
    { key: 'perWake', title: 'packets/wake', digits: 1, better: 'none' },
    { key: 'perCall', title: 'packets/send call', digits: 1, better: 'none' },
    { key: 'clientLost', title: 'lost in client', digits: 0, better: 'none' },
  ],
  async run(context) {
    const most = mostStreams();
    if (most < MANY) context.note(`the limit of descriptors allows ${most} streams instead of ${MANY}`);
    for (const { streams, cases } of relayCases(context.quick, most)) {
      const wanted = cases.filter(
        ({ name, once }) => context.wants(name) && (!once || context.round === 0 || context.partial),
      );
      if (wanted.length > 0 && streams <= most) await compare(context, { streams, cases: wanted });
    }
  },
};

async function compare(context: Context, { streams, cases }: RelayCases): Promise<void> {
  const fits = (one: Relay): boolean => one !== EAGER || (streams <= MOST_EAGER_STREAMS && !context.quick);
  const relays = RELAYS.filter((one) => one === direct || (context.compares(one.name) && fits(one)));
  const measured = new Map<Relay, Series>();
  const faults = new Map<Relay, string>();
  for (const one of rotate(relays, context.round)) {
    if (absence(context, one) !== undefined) continue;
    try {
      measured.set(one, await measureAll(context, one, streams, cases));
    } catch (error) {
      if (!RIVALS.includes(one)) throw error;
      faults.set(one, `failed: ${(error as Error).message.split('\n')[0]}`);
    }
  }
  const base = measured.get(direct);
  for (const [index, { name }] of cases.entries()) {
    recordCase(context, name, {
      relays,
      measured: (one) => measured.get(one)?.relayed[index],
      absence: (one) => absence(context, one) ?? faults.get(one) ?? 'not measured',
      direct: base?.relayed[index],
      dropped: (one) => measured.get(one)?.dropped[index] ?? base?.dropped[index],
    });
  }
}

/** One relay's part in a comparison, by case. */
interface Series {
  relayed: Measured[];
  /** Its own baseline; empty where that without a relay serves. */
  dropped: Measured[];
}

async function measureAll(context: Context, one: Relay, streams: number, cases: readonly RelayCase[]): Promise<Series> {
  const series: Series = { relayed: [], dropped: [] };
  for (const part of one.restartAfterOverload ? untilOverload(cases) : [cases]) {
    await withRelay(context, one, streams, async (farm, running) => {
      for (const { media } of part) {
        series.relayed.push(await measure(context, farm, running, media));
        if (one !== direct && !one.inKernel) continue;
        series.dropped.push(...(await measureDropped(context, farm, running, media)));
      }
    });
  }
  return series;
}

/** Parts that each end with the first kind of media that is too much. */
function untilOverload(cases: readonly RelayCase[]): RelayCase[][] {
  const parts: RelayCase[][] = [[]];
  for (const one of cases) {
    parts.at(-1)?.push(one);
    if (!isPaced(one.media)) parts.push([]);
  }
  return parts.filter((part) => part.length > 0);
}

function absence({ bed }: Context, one: Relay): string | undefined {
  if (one.needsNamespaces && bed.kind !== 'namespaces') return 'not measured: needs network namespaces (root)';
  return one.missing();
}

/** One kind of media through all relays. */
interface Comparison {
  relays: readonly Relay[];
  measured(one: Relay): Measured | undefined;
  /** Why it was not. */
  absence(one: Relay): string;
  /** Media goes straight to the client. */
  direct: Measured | undefined;
  /** It is dropped before a relay has it. */
  dropped(one: Relay): Measured | undefined;
}

function recordCase(context: Context, group: string, comparison: Comparison): void {
  const { relays, measured, absence } = comparison;
  const valuesOf = (one: Relay): Values | undefined => {
    const found = measured(one);
    return found && (one === direct ? delivery(found) : relayed(found, comparison.direct, comparison.dropped(one)));
  };
  const best = { gso: valuesOf(GSO), offload: valuesOf(OFFLOAD) };
  for (const one of relays) {
    const which = { group, name: one.name };
    const values = valuesOf(one);
    if (one === OFFLOAD && values?.perCall !== undefined)
      context.note('tier offload is not possible here: its rows show the engine');
    if (values) context.record(which, { ...values, ...(RIVALS.includes(one) ? ratios(values, best) : {}) });
    else context.absent(which, absence(one));
    if (context.quick && !RIVALS.includes(one) && (values?.lossPercent ?? 0) > 0) {
      context.fail(`relay: ${group}, ${one.name} lost ${values?.lossPercent} %`);
    }
  }
  if (context.compares(NOT_PACKAGED.name)) context.absent({ group, name: NOT_PACKAGED.name }, NOT_PACKAGED.why);
}
