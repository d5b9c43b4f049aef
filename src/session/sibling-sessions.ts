/**
 * Sessions that are one to their client. Some cameras answer each SETUP of a presentation with another id, although
 * the request named the first: the client goes on with one of them and never speaks of the others again.
 */
export class SiblingSessions {
  readonly #groups = new Map<number, Set<number>>();

  /** Both by the slots of their rows. */
  link(one: number, other: number): void {
    const group = new Set([...this.#groupOf(one), ...this.#groupOf(other)]);
    for (const slot of group) this.#groups.set(slot, group);
  }

  /** The others. */
  of(slot: number): number[] {
    return [...this.#groupOf(slot)].filter((each) => each !== slot);
  }

  delete(slot: number): void {
    this.#groups.get(slot)?.delete(slot);
    this.#groups.delete(slot);
  }

  #groupOf(slot: number): ReadonlySet<number> {
    return this.#groups.get(slot) ?? new Set([slot]);
  }
}
