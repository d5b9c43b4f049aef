import type { Config } from '../config/types.js';
import { connectTo } from '../egress/connect.js';
import type { Route } from '../egress/routes.js';
import { PenstockError } from '../errors.js';
import type { ProxiedEnds } from '../proxy-protocol/header.js';
import type { Service } from '../router/service.js';
import type { ByteStream } from '../rtsp/stream-transport.js';

/** Where each service is, by its row. */
export interface RoutesTo {
  to(row: number): Route;
}

/** Opens connections to services. */
export class Dialer {
  readonly #routes: RoutesTo;
  readonly #limits: Pick<Config, 'connectTimeoutMs'>;

  /** `limits` is asked anew for each connection: a reload may have changed it. */
  constructor(routes: RoutesTo, limits: Pick<Config, 'connectTimeoutMs'>) {
    this.#routes = routes;
    this.#limits = limits;
  }

  /** Whether the service is told whose connection it is: then it must be told where media goes, too. */
  tellsClient(service: Service): boolean {
    return (this.#routes.to(service.index).proxyProtocol ?? 'none') !== 'none';
  }

  /** `ends`: of the client's connection, if it is for one. Rejects with PENSTOCK_ERR_SERVICE_UNREACHABLE. */
  async dial(service: Service, ends?: ProxiedEnds): Promise<ByteStream> {
    try {
      return await connectTo(this.#routes.to(service.index), this.#limits.connectTimeoutMs, ends);
    } catch (error) {
      throw unreachable(service, (error as Error).message);
    }
  }
}

export function unreachable({ name, ip, port }: Service, why: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_SERVICE_UNREACHABLE', `${name} (${ip}:${port}): ${why}`);
}
