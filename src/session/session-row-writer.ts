import { type Endpoint, writeEndpoint } from '../engine/endpoint.js';
import type { SharedRegion } from '../engine/shared-region.js';
import { PenstockError } from '../errors.js';

export interface SessionSpec {
  vserver: number;
  service: number;
  serverId: string;
  /** What a TEARDOWN is sent to. */
  controlUrl: string;
  /** The RTSP peer. */
  client: Endpoint;
  /** The server's own timeout, 0 = not said. */
  timeoutSec: number;
}

/** Writes what a row of the session table says. Whoever calls marks the row as being written. */
export class SessionRowWriter {
  readonly #region: SharedRegion;

  constructor(region: SharedRegion) {
    this.#region = region;
  }

  /** `serverId`, `controlUrl`: of `spec`, encoded. */
  fill(row: number, spec: SessionSpec, serverId: Buffer, controlUrl: Buffer, now: number): void {
    const region = this.#region;
    const { session } = region.layout;
    region.setU32(row + session.vserver, spec.vserver);
    region.setU32(row + session.service, spec.service);
    region.setU32(row + session.streams, 0);
    region.setU32(row + session.serverIdBytes, serverId.length);
    region.bytes(row + session.serverId, serverId.length).set(serverId);
    this.setControlUrl(row, controlUrl);
    region.setU32(row + session.timeoutSec, spec.timeoutSec);
    region.setU32(row + session.flags, 0);
    writeEndpoint(region, row + session.client, spec.client);
    region.setF64(row + session.openedMs, now);
    region.setF64(row + session.clientControlMs, now);
    region.setF64(row + session.serverControlMs, now);
  }

  setControlUrl(row: number, url: Buffer): void {
    this.#region.setU32(row + this.#region.layout.session.controlUrlBytes, url.length);
    this.#region.bytes(row + this.#region.layout.session.controlUrl, url.length).set(url);
  }

  /** Throws PENSTOCK_ERR_SESSION_ID_TOO_LONG. */
  encodeId(serverId: string): Buffer {
    const bytes = Buffer.from(serverId);
    const max = this.#region.layout.limits.maxServerId;
    if (bytes.length <= max) return bytes;
    throw new PenstockError(
      'PENSTOCK_ERR_SESSION_ID_TOO_LONG',
      `a server's Session id may have ${max} bytes, got ${bytes.length}`,
    );
  }

  /** Throws PENSTOCK_ERR_URL_TOO_LONG. */
  encodeUrl(url: string): Buffer {
    const bytes = Buffer.from(url);
    const max = this.#region.layout.limits.maxControlUrl;
    if (bytes.length <= max) return bytes;
    throw new PenstockError('PENSTOCK_ERR_URL_TOO_LONG', `a control URL may have ${max} bytes, got ${bytes.length}`);
  }
}
