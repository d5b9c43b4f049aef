import { HeaderList, type RtspRequest, type RtspResponse } from './message.js';

const VERSION = 'RTSP/1.0';
const NO_BODY = Buffer.alloc(0);

/** RFC 2326 §7.1.1, and the codes of RFC 7826 that servers of 1.0 send too. */
const REASONS: Readonly<Record<number, string>> = {
  100: 'Continue',
  200: 'OK',
  201: 'Created',
  250: 'Low on Storage Space',
  300: 'Multiple Choices',
  301: 'Moved Permanently',
  302: 'Moved Temporarily',
  303: 'See Other',
  304: 'Not Modified',
  305: 'Use Proxy',
  400: 'Bad Request',
  401: 'Unauthorized',
  402: 'Payment Required',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  407: 'Proxy Authentication Required',
  408: 'Request Time-out',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Request Entity Too Large',
  414: 'Request-URI Too Large',
  415: 'Unsupported Media Type',
  451: 'Parameter Not Understood',
  452: 'Conference Not Found',
  453: 'Not Enough Bandwidth',
  454: 'Session Not Found',
  455: 'Method Not Valid in This State',
  456: 'Header Field Not Valid for Resource',
  457: 'Invalid Range',
  458: 'Parameter Is Read-Only',
  459: 'Aggregate operation not allowed',
  460: 'Only aggregate operation allowed',
  461: 'Unsupported transport',
  462: 'Destination unreachable',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Time-out',
  505: 'RTSP Version not supported',
  551: 'Option not supported',
};

export type HeaderInit = Iterable<readonly [name: string, value: string]> | Readonly<Record<string, string>>;

/** The standard reason phrase, 'Unknown' for a status that has none. */
export function reason(status: number): string {
  return REASONS[status] ?? 'Unknown';
}

export function isSuccess({ status }: RtspResponse): boolean {
  return status >= 200 && status < 300;
}

/** A response with the CSeq of the request it answers, if that had one, before the given fields. */
export function makeResponse(request: RtspRequest | undefined, status: number, extra: HeaderInit = {}): RtspResponse {
  const headers = new HeaderList();
  const cseq = request?.headers.get('CSeq');
  if (cseq !== undefined) headers.append('CSeq', cseq);
  appendAll(headers, extra);
  return { kind: 'response', status, reason: reason(status), version: VERSION, headers, body: NO_BODY };
}

export function makeRequest(method: string, uri: string, fields: HeaderInit = {}): RtspRequest {
  const headers = new HeaderList();
  appendAll(headers, fields);
  return { kind: 'request', method, uri, version: VERSION, headers, body: NO_BODY };
}

function appendAll(headers: HeaderList, fields: HeaderInit): void {
  const pairs = Symbol.iterator in fields ? (fields as Iterable<readonly [string, string]>) : Object.entries(fields);
  for (const [name, value] of pairs) headers.append(name, value);
}
