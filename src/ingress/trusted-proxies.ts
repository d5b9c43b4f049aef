import { BlockList, isIPv4 } from 'node:net';

/** Whose PROXY headers are believed. */
export class TrustedProxies {
  #list: BlockList | undefined;

  /** `networks`: `ADDRESS/BITS`. */
  constructor(networks: readonly string[]) {
    this.update(networks);
  }

  update(networks: readonly string[]): void {
    const list = new BlockList();
    for (const network of networks) {
      const [address = '', bits] = network.split('/');
      list.addSubnet(address, Number(bits), isIPv4(address) ? 'ipv4' : 'ipv6');
    }
    this.#list = networks.length === 0 ? undefined : list;
  }

  has(ip: string): boolean {
    if (!this.#list) return false;
    const bare = ip.split('%')[0] ?? '';
    return this.#list.check(bare, isIPv4(bare) ? 'ipv4' : 'ipv6');
  }
}
