/**
 * Every error that penstock raises or answers with: a stable code, the RTSP status it
 * becomes towards a client (if any) and the exit status it becomes on the command line
 * (if any). The documentation page is generated from this table.
 */
export const ERRORS = {
  // ---- RTSP input
  PENSTOCK_ERR_BAD_MESSAGE: { rtsp: 400, about: 'the bytes are not an RTSP message' },
  PENSTOCK_ERR_LINE_TOO_LONG: { rtsp: 400, about: 'a start line or header line is longer than the limit' },
  PENSTOCK_ERR_TOO_MANY_HEADERS: { rtsp: 400, about: 'more header fields, or more header bytes, than the limit' },
  PENSTOCK_ERR_BODY_TOO_LARGE: { rtsp: 413, about: 'a body is longer than the limit' },
  PENSTOCK_ERR_URI_TOO_LONG: { rtsp: 414, about: 'a Request-URI is longer than the limit' },
  PENSTOCK_ERR_REQUEST_TIMEOUT: { rtsp: 408, about: 'a request was not complete in time' },
  PENSTOCK_ERR_TUNNEL: {
    about: 'an HTTP connection is no half of a tunnel for RTSP, or what comes in it is no base64',
  },
  PENSTOCK_ERR_PROXY_HEADER: {
    about: 'a connection from `proxy-protocol-from` has no PROXY header that can be understood, or another one has any',
  },
  PENSTOCK_ERR_TLS: { about: 'a TLS handshake with a client failed' },
  PENSTOCK_ERR_TOO_MANY_REQUESTS: { rtsp: 503, about: 'the client asks more often than it may' },
  PENSTOCK_ERR_VERSION: { rtsp: 505, about: 'the RTSP version is not 1.0' },
  // ---- routing
  PENSTOCK_ERR_SESSION_NOT_FOUND: { rtsp: 454, about: 'the Session id leads to no server of the farm' },
  PENSTOCK_ERR_NO_SERVICE: { rtsp: 503, about: 'no service of the vserver can take a new session' },
  PENSTOCK_ERR_SERVICE_UNREACHABLE: { rtsp: 503, about: 'the service of an existing session does not answer' },
  PENSTOCK_ERR_SERVICE_TIMEOUT: { rtsp: 504, about: 'the service accepted a request and did not answer in time' },
  PENSTOCK_ERR_SERVICE_REPLY: {
    rtsp: 502,
    about: 'the service answered with something that is no RTSP, broke off, or lacks what SETUP needs',
  },
  // ---- negotiation
  PENSTOCK_ERR_TRANSPORT: { rtsp: 461, about: 'no alternative of the Transport header can be served' },
  PENSTOCK_ERR_BAD_TRANSPORT: { rtsp: 400, about: 'the Transport header cannot be read' },
  PENSTOCK_ERR_PORTS_EXHAUSTED: { rtsp: 453, about: 'no media port pair is free' },
  PENSTOCK_ERR_MEDIA_ADDRESS: { rtsp: 500, about: 'a media address is not an address of this machine' },
  PENSTOCK_ERR_TABLE_FULL: { rtsp: 453, about: 'the session table has no free row' },
  PENSTOCK_ERR_TOO_MANY_SESSIONS: { rtsp: 453, about: 'the client has as many sessions as it may' },
  PENSTOCK_ERR_TOO_MANY_SETUPS: { rtsp: 453, about: 'the session had as many SETUPs as it may' },
  PENSTOCK_ERR_SESSION_ID_TOO_LONG: { rtsp: 502, about: 'the server issued a Session id longer than a row can hold' },
  PENSTOCK_ERR_URL_TOO_LONG: { rtsp: 414, about: 'a control URL is longer than a row can hold' },
  // ---- configuration and command line
  PENSTOCK_ERR_CONFIG: { exit: 2, about: 'the configuration is not valid' },
  PENSTOCK_ERR_USAGE: { exit: 2, about: 'the command line is not valid' },
  PENSTOCK_ERR_BIND: { exit: 3, about: 'a listen address cannot be bound' },
  PENSTOCK_ERR_STATE_DIR: { exit: 3, about: 'the state directory cannot be used' },
  PENSTOCK_ERR_KEY_FILE: { exit: 3, about: 'the session key file cannot be used' },
  PENSTOCK_ERR_CERTIFICATE: { exit: 3, about: 'a certificate, its key or a file of authorities cannot be used' },
  PENSTOCK_ERR_ADDON: { exit: 4, about: 'the native addon cannot be loaded or has another layout' },
  PENSTOCK_ERR_ADMIN: { exit: 5, about: 'the appliance does not answer on its admin address' },
  PENSTOCK_ERR_UPGRADE: { exit: 6, about: 'a running appliance could not hand over to a new version' },
  PENSTOCK_ERR_ADMIN_REFUSED: { exit: 6, about: 'the appliance refused what a command asked of it' },
} as const satisfies Record<string, { rtsp?: number; exit?: number; about: string }>;

export type ErrorCode = keyof typeof ERRORS;

/** An error with a stable code. `rtspStatus` and `exitStatus` come from the table above. */
export class PenstockError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'PenstockError';
    this.code = code;
  }

  get rtspStatus(): number | undefined {
    const entry: { about: string; rtsp?: number } = ERRORS[this.code];
    return entry.rtsp;
  }

  get exitStatus(): number | undefined {
    const entry: { about: string; exit?: number } = ERRORS[this.code];
    return entry.exit;
  }
}
