import type { StatReport } from '../admin/source.js';
import type { TierCounts } from '../tasks/reports.js';
import { TIER_REASONS } from '../tasks/snapshot.js';
import { snakeCase } from './worker-counters.js';

const WHAT = 'listening services that media is expected on';

/** In which tier media is now, and what keeps it from a better one, as rows of `show stat`. */
export function describeTiers({ tiers, reasons }: TierCounts): StatReport[] {
  return [
    ...Object.entries(tiers).map(([name, value]) => row(`tier_${name}`, `${WHAT}, in tier ${name} now`, value)),
    ...Object.entries(reasons).map(([name, value]) =>
      row(`kept_${snakeCase(name)}`, `of these, in no better tier because: ${wordsFor(name)}`, value),
    ),
  ];
}

function row(name: string, about: string, value: number): StatReport {
  return { name, unit: 'ports', about, value };
}

function wordsFor(reason: string): string {
  return (TIER_REASONS as Readonly<Record<string, string>>)[reason] ?? reason;
}
