import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket } from 'node:tls';
import type { ClientCertificates } from '../config/types.js';
import { PenstockError } from '../errors.js';
import { certificatesIn, type VserverMaterial } from '../tls/material.js';

/** From the first byte to the end of the handshake. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

interface Waiting {
  resolve(stream: TLSSocket): void;
  reject(error: Error): void;
}

/** A certificate of a vserver, ready for use. */
interface Shown {
  context: SecureContext;
  isFor(host: string): boolean;
}

/** The TLS of one vserver: certificates chosen by the host that a client names (RFC 6066 §3), and what it asks of clients. */
export class TlsListener {
  readonly #clientCertificates: ClientCertificates;
  readonly #server: Server;
  readonly #waiting = new Map<string, Waiting>();
  #shown: Shown[] = [];

  constructor(
    clientCertificates: ClientCertificates,
    material: VserverMaterial,
    handshakeTimeoutMs: number = HANDSHAKE_TIMEOUT_MS,
  ) {
    this.#clientCertificates = clientCertificates;
    this.#server = createServer({
      allowHalfOpen: true,
      handshakeTimeout: handshakeTimeoutMs,
      requestCert: clientCertificates !== 'none',
      // What is wrong with a certificate is looked at in #onSecure, where it can be told.
      rejectUnauthorized: false,
      SNICallback: (host, done) => done(null, this.#shown.find(({ isFor }) => isFor(host))?.context),
    });
    this.#server.on('secureConnection', (stream) => this.#onSecure(stream));
    this.#server.on('tlsClientError', (error, stream) => this.#onError(error, stream));
    this.update(material);
  }

  /** From the next handshake on; connections that stand are not touched. */
  update({ certificates, clientCa }: VserverMaterial): void {
    const options = certificates.map(({ certificate, key }) => ({
      cert: certificate,
      key,
      ...(clientCa === undefined ? {} : { ca: certificatesIn(clientCa).map(String) }),
    }));
    this.#shown = options.map((option) => {
      const [leaf] = certificatesIn(option.cert);
      return { context: createSecureContext(option), isFor: (host) => leaf?.checkHost(host) !== undefined };
    });
    this.#server.setSecureContext(options[0] ?? {});
  }

  /** The handshake with a client. Rejects with PENSTOCK_ERR_TLS; the socket is closed then. */
  secure(socket: Socket): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const key = keyOf(socket);
      this.#waiting.set(key, { resolve, reject });
      socket.once('close', () => this.#take(key)?.reject(failure('the connection closed during the handshake')));
      this.#server.emit('connection', socket);
    });
  }

  #onSecure(stream: TLSSocket): void {
    const waiting = this.#take(keyOf(stream));
    const fault = this.#faultOf(stream);
    if (!waiting || fault !== undefined) {
      waiting?.reject(failure(fault ?? ''));
      stream.destroy();
    } else waiting.resolve(stream);
  }

  #faultOf(stream: TLSSocket): string | undefined {
    if (this.#clientCertificates === 'none' || stream.authorized) return undefined;
    if (Object.keys(stream.getPeerCertificate() ?? {}).length > 0) {
      return `the certificate of the client is refused: ${stream.authorizationError}`;
    }
    return this.#clientCertificates === 'required' ? 'the client showed no certificate' : undefined;
  }

  #onError(error: Error, stream: TLSSocket): void {
    this.#take(keyOf(stream))?.reject(failure(error.message));
    stream.destroy();
  }

  #take(key: string): Waiting | undefined {
    const waiting = this.#waiting.get(key);
    this.#waiting.delete(key);
    return waiting;
  }
}

/** No two connections have the same ends at a time. */
function keyOf({ remoteAddress, remotePort, localAddress, localPort }: Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

function failure(message: string): PenstockError {
  return new PenstockError('PENSTOCK_ERR_TLS', message);
}
