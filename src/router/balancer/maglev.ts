import type { Balancer, RouteKey, ServiceState } from './balancer.js';
import { hash32 } from './hash.js';

/** Prime; 64 places per service at the most services a region holds. */
export const TABLE_SIZE = 65_537;

const OFFSET_SEED = 0x5f3759df;
const SKIP_SEED = 0x2545f491;
const STRIDE_SEED = 0x61c88647;
const FREE = 0xffff;

export interface TableMember {
  /** What the place of the member in the table depends on, besides its weight. */
  readonly id: string;
  readonly weight: number;
}

/**
 * Maglev look-up table (Eisenbud et al., NSDI 2016, §3.4): each place holds the position of a member. Members take
 * free places in the order of their own permutations; per round each takes as many as its weight over the largest.
 */
export function buildTable(members: readonly TableMember[], size = TABLE_SIZE): Uint16Array {
  const table = new Uint16Array(size).fill(FREE);
  const heaviest = members.reduce((most, member) => Math.max(most, member.weight), 0);
  if (heaviest <= 0) return new Uint16Array(0);
  const at = members.map((member) => hash32(member.id, OFFSET_SEED) % size);
  const skip = members.map((member) => 1 + (hash32(member.id, SKIP_SEED) % (size - 1)));
  const credit = members.map(() => 0);
  for (let filled = 0; filled < size; ) {
    for (let member = 0; member < members.length && filled < size; member++) {
      const due = (credit[member] ?? 0) + (members[member]?.weight ?? 0);
      credit[member] = due < heaviest ? due : due - heaviest;
      if (due < heaviest) continue;
      at[member] = takePlace(table, member, at[member] ?? 0, skip[member] ?? 1);
      filled++;
    }
  }
  return table;
}

/** Takes the next free place of the permutation; returns where it goes on. */
function takePlace(table: Uint16Array, member: number, from: number, skip: number): number {
  let place = from;
  while (table[place] !== FREE) place = (place + skip) % table.length;
  table[place] = member;
  return (place + skip) % table.length;
}

/**
 * Sends equal keys to the same service. The table holds every member with a weight, usable or not: while one cannot
 * be used, only its own keys move (to the owners of further places, so by weight), and they come back with it. A health change costs no rebuilding; a change of members or weights does, and moves few other keys.
 */
export class Maglev implements Balancer {
  readonly #keyOf: (key: RouteKey) => string;
  #members: readonly ServiceState[] = [];
  #table: Uint16Array = new Uint16Array(0);

  constructor(keyOf: (key: RouteKey) => string) {
    this.#keyOf = keyOf;
  }

  changed(members: readonly ServiceState[]): void {
    this.#members = [...members];
    this.#table = buildTable(
      members.map((service) => ({ id: `${service.ip} ${service.port}`, weight: service.weight })),
    );
  }

  pick<S extends ServiceState>(key: RouteKey, candidates: readonly S[]): S | undefined {
    const text = this.#keyOf(key);
    const size = this.#table.length;
    // Further places by a stride of the key's own: neighbours in the table are not independent of each other.
    const stride = 1 + (hash32(text, STRIDE_SEED) % (TABLE_SIZE - 1));
    let place = hash32(text) % TABLE_SIZE;
    const usable = new Map<ServiceState | undefined, S>(candidates.map((service) => [service, service]));
    for (let step = 0; step < size && usable.size > 0; step++) {
      const found = usable.get(this.#members[this.#table[place] ?? FREE]);
      if (found) return found;
      place = (place + stride) % size;
    }
    // A weight so small among large ones that it has no place in the table.
    return candidates[place % candidates.length];
  }
}
